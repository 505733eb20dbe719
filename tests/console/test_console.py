"""The console in a real browser: every action, a hostile collection, and an accessibility check."""

import json
import re
from pathlib import Path

import pytest

from tests.console.conftest import ROWS, CollectionConsole
from tests.support.browser import PROGRAM
from tests.wire.clients import ApiClient

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")]

AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
TABS = {
    "records": "document.querySelector('#panel tbody tr')",
    "search": "document.querySelector('#panel form')",
    "map": "document.querySelector('#panel canvas').dataset.stage",
    "time": "document.querySelector('.changes')",
    "import": "document.querySelector('.drop')",
    "about": "document.querySelector('.facts')",
}
RECORDS = TABS["records"]


def test_records_are_paged_in_insertion_order(console: CollectionConsole) -> None:
    console.open("records", RECORDS)
    console.page.until("document.querySelector('.position')?.textContent === '1 – 50 of 600'")
    assert console.ids() == [f"id-{row}" for row in range(50)]
    console.press("Last")
    console.page.until("document.querySelector('.position').textContent.startsWith('551')")
    assert console.ids()[-1] == f"id-{ROWS - 1}"


def test_the_filter_builder_writes_the_filter_and_applies_it(console: CollectionConsole) -> None:
    console.open("records", RECORDS)
    console.page.until("document.querySelector('.position')?.textContent.startsWith('1 ')")
    console.press("Add a condition")
    console.type("input[aria-label=Key]", "row")
    console.type("select[aria-label=Operator]", "$gt")
    console.type("input[aria-label=Value]", "590")
    console.page.until("document.querySelectorAll('#panel tbody tr').length === 9")
    written = console.page.evaluate("document.querySelector('.written').textContent")
    assert json.loads(written) == {"where": {"row": {"$gt": 590}}}
    console.type("input[aria-label='Document text']", "595")
    console.page.until("document.querySelectorAll('#panel tbody tr').length === 1")
    assert console.ids() == ["id-595"]


def test_values_keep_the_type_of_their_key(console: CollectionConsole) -> None:
    expression = (
        "(() => { const known = module.facts([{year: '2001', n: 5, ok: true}]); return ["
        "module.where([{key: 'year', operator: '$eq', value: '2001'}], '$and', known),"
        "module.where([{key: 'n', operator: '$in', value: '1, 2'}, {key: 'ok', operator: '$eq', value: 'true'}],"
        " '$or', known),"
        "module.where([{key: 'n', operator: '$eq', value: ''}], '$and', known)] })()"
    )
    assert console.module(expression, "filter.js") == [
        {"year": {"$eq": "2001"}},
        {"$or": [{"n": {"$in": [1, 2]}}, {"ok": {"$eq": True}}]},
        None,
    ]


def test_a_search_by_vector_and_like_a_record_agrees_with_the_api(console: CollectionConsole) -> None:
    vector = [0.5, -0.25, 1, 0, 0.125, 2, -1, 0.75]
    expected = console.collection.post("query", query_embeddings=[vector], n_results=10).json()["ids"][0]
    console.open("search", TABS["search"])
    console.type("#panel form select", "vector")
    console.type("#panel textarea", json.dumps(vector))
    console.press("Search", "document.querySelector('#panel')")
    console.page.until("document.querySelectorAll('#panel tbody tr').length === 10")
    assert console.ids() == expected
    console.page.evaluate("document.querySelector('#panel tbody .id').click()")
    console.press("Find records like this one")
    console.page.until(
        "document.querySelector('#panel form select')?.value === 'like' && !!document.querySelector('#panel tbody .id')"
    )
    assert console.ids()[0] == expected[0]


def test_a_late_answer_does_not_replace_what_was_opened_after_it(console: CollectionConsole) -> None:
    """A deployment may take seconds for the collection that "like this one" opens anew."""
    console.open("search", TABS["search"])
    console.type("#panel form select", "vector")
    console.type("#panel textarea", json.dumps([0.5] * 8))
    console.press("Search", "document.querySelector('#panel')")
    console.page.until("document.querySelectorAll('#panel tbody tr').length === 10")
    console.page.evaluate(
        "window.fetch = ((real) => async (address, options) => { if (!String(address).endsWith("
        f"{json.dumps('/' + console.name)})) return real(address, options); window.held = 'asked';"
        "await new Promise(go => { window.release = go }); const answer = await real(address, options);"
        "setTimeout(() => { window.held = 'answered' }, 200); return answer })(window.realFetch = window.fetch)"
    )
    try:
        console.page.evaluate("document.querySelector('#panel tbody .id').click()")
        console.press("Find records like this one")
        console.page.until("window.held === 'asked'")
        console.open("records", RECORDS)
        console.page.evaluate("window.release()")
        console.page.until("window.held === 'answered'")
        assert console.page.evaluate("document.querySelector('[aria-selected=true]').textContent") == "Records"
    finally:
        console.page.evaluate("window.fetch = window.realFetch; null")


def test_a_search_shows_its_plan_if_asked(console: CollectionConsole) -> None:
    console.open("search", TABS["search"])
    console.type("#panel form select", "vector")
    console.type("#panel textarea", json.dumps([0.5] * 8))
    console.page.evaluate("document.querySelector('#panel input[type=checkbox]').click()")
    console.press("Search", "document.querySelector('#panel')")
    console.page.until("document.querySelector('#panel .plan summary') !== null")
    summary = console.page.evaluate("document.querySelector('#panel .plan summary').textContent")
    assert re.fullmatch(r"(\d+) of \1 rows, scan, [\d.]+ ms, exact", summary), summary


def test_a_refused_search_shows_the_servers_message(console: CollectionConsole) -> None:
    console.open("search", TABS["search"])
    console.type("#panel form select", "vector")
    console.type("#panel textarea", "[1, 2]")
    console.press("Search", "document.querySelector('#panel')")
    text = console.page.until("document.querySelector('.message.bad')?.textContent")
    assert "dimension" in text
    console.page.evaluate("document.querySelectorAll('.message button').forEach(button => button.click())")


def test_an_action_is_shown_as_code_that_runs(console: CollectionConsole) -> None:
    console.open("records", RECORDS)
    console.press("Copy as code")
    console.page.until("document.querySelectorAll('dialog pre').length === 3")
    python, typescript, curl = console.page.evaluate(
        "[...document.querySelectorAll('dialog pre')].map(item => item.textContent)"
    )
    compile(python, "snippet", "exec")
    assert f'get_collection("{console.name}")' in python
    assert "collection.get({" in typescript
    assert curl.startswith(f"curl -X POST '{console.collection.api_client.http.base_url}")
    console.page.evaluate("document.querySelector('dialog header button').click()")


def test_the_map_places_every_sampled_point(console: CollectionConsole) -> None:
    console.open("map", "document.querySelector('#panel canvas').dataset.stage === 'done'")
    assert console.page.evaluate("document.querySelector('#panel .soft').textContent") == "600 of 600 records"
    console.type("#panel .bar select", "kind")
    assert console.page.evaluate(
        "[...document.querySelectorAll('.legend bdi')].map(item => item.textContent).sort()"
    ) == ["even", "odd"]
    console.page.evaluate("document.querySelector('canvas').focus()")
    for key in ("ArrowRight", "Enter"):
        console.page.evaluate(
            f"document.querySelector('canvas').dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}'}}))"
        )
    assert console.page.until("document.querySelector('dialog h2')?.textContent").startswith("Record id-")
    console.page.evaluate("document.querySelector('dialog header button').click()")


def test_records_are_added_edited_and_deleted(console: CollectionConsole) -> None:
    console.open("records", RECORDS)
    console.press("Add a record")
    console.type("dialog input[name=id]", "typed")
    console.type("dialog textarea[name=document]", "typed by hand")
    console.type("dialog textarea[name=metadata]", '{"kind": "typed", "old": 1}')
    console.type("dialog textarea[name=embedding]", "[1, 2, 3, 4, 5, 6, 7, 8]")
    console.write("Add", "document.querySelector('dialog')")
    stored = console.collection.post("get", ids=["typed"]).json()
    assert (stored["documents"], stored["metadatas"]) == (["typed by hand"], [{"kind": "typed", "old": 1}])

    console.type("input[aria-label='Document text']", "typed by hand")
    console.page.until("document.querySelectorAll('#panel tbody tr').length === 1")
    console.page.evaluate("document.querySelector('#panel tbody .id').click()")
    console.press("Edit", "document.querySelector('dialog')")
    console.type("dialog textarea[name=metadata]", '{"kind": "edited"}')
    console.write("Save", "document.querySelector('dialog')")
    assert console.collection.post("get", ids=["typed"]).json()["metadatas"] == [{"kind": "edited"}]

    console.type("input[aria-label='Document text']", "typed by hand")
    console.page.until("document.querySelectorAll('#panel tbody tr').length === 1")
    console.page.evaluate("document.querySelector('#panel tbody .id').click()")
    console.press("Delete", "document.querySelector('dialog')")
    console.page.until("document.querySelector('dialog input[name=typed]') !== null")
    assert console.page.evaluate("document.querySelector('dialog button.danger').disabled") is True
    console.type("dialog input[name=typed]", "typed")
    console.press("Delete", "document.querySelector('dialog')")
    console.page.until("document.querySelector('dialog') === null")
    console.page.until(
        "[...document.querySelectorAll('.message')].some(item => item.textContent.startsWith('typed deleted'))"
    )
    assert console.collection.post("get", ids=["typed"]).json()["ids"] == []


def test_a_dropped_file_is_imported_and_bad_rows_are_named(console: CollectionConsole, api_client: ApiClient) -> None:
    target = api_client.collection()
    name = target.created["name"]
    lines = [json.dumps({"id": f"f{row}", "embedding": [row, 1], "text": f"row {row}", "n": row}) for row in range(5)]
    lines[2] = json.dumps({"id": "f2", "embedding": [1, 2, 3], "text": "three components"})
    lines[3] = "{broken"
    expression = (
        "(async () => { const { collection, database } = await import('/console/api.js');"
        f"const api = collection(database('default_tenant', 'default_database'), {json.dumps(target.created['id'])});"
        f"const rows = module.rowsOf('x.jsonl', {json.dumps(chr(10).join(lines))});"
        "const rejected = rows.filter(item => item.error).map(item => item.line);"
        "const sound = rows.filter(item => item.row).map(({line, row}) => ({line, record: module.record(row)}));"
        "const more = []; const written = await module.upsert(api, sound, more);"
        "return [written, rejected, more.map(item => item.line)] })()"
    )
    assert console.module(expression, "import.js") == [3, [4], [3]]
    assert target.records("documents", "metadatas")["metadatas"] == [{"n": 0}, {"n": 1}, {"n": 4}], name


def test_quoted_csv_is_read(console: CollectionConsole) -> None:
    content = 'id,text,vector,year\r\na,"two, ""parts""\nand a line","[1, 2]",2001\r\n'
    rows = console.module(
        f"module.rowsOf('x.csv', {json.dumps(content)}).map(item => module.record(item.row))", "import.js"
    )
    assert rows == [
        {"id": "a", "document": 'two, "parts"\nand a line', "embedding": [1, 2], "metadata": {"year": 2001}}
    ]


def test_time_travel_shows_what_has_changed(console: CollectionConsole) -> None:
    expression = (
        "module.difference({ids: ['a', 'b'], documents: ['1', '2'], metadatas: [null, null]},"
        " {ids: ['b', 'c'], documents: ['3', '4'], metadatas: [null, null]})"
    )
    assert console.module(expression, "time.js") == {"added": ["c"], "removed": ["a"], "changed": ["b"]}
    console.open("time", TABS["time"])
    shown = console.page.evaluate("document.querySelector('#panel p').textContent")
    assert re.fullmatch(r"\d+ records then, 600 now\.", shown), shown


def test_a_collection_is_copied_renamed_and_deleted(console: CollectionConsole, api_client: ApiClient) -> None:
    target = api_client.collection().add(ids=["a", "b"], embeddings=[[1, 2], [3, 4]])
    name, page = target.created["name"], console.page
    page.evaluate(f"location.hash = '#default_tenant/default_database/{name}/records'; location.reload()")
    page.until(f"document.querySelector('h2 bdi')?.textContent === {json.dumps(name)} && !!({RECORDS})")
    console.open("time", TABS["time"])
    console.press("Copy to a new collection")
    console.type("dialog input[name=fork]", f"{name}-copy")
    page.evaluate("document.getElementById('panel').dataset.old = 'yes'")
    console.press("Copy", "document.querySelector('dialog')")
    page.until("document.querySelector('#panel:not([data-old])') !== null")
    copied = api_client.request("GET", f"{target.database}/collections/{name}-copy").json()
    found = api_client.request("POST", f"{target.database}/collections/{copied['id']}/get", {}).json()
    assert found["ids"] == ["a", "b"]

    console.open("about", TABS["about"])
    console.type("#panel input[aria-label='New name']", f"{name}-new")
    console.press("Rename", "document.querySelector('#panel')")
    page.until(f"document.querySelector('h2 bdi')?.textContent === {json.dumps(name + '-new')}")
    assert target.now()["name"] == f"{name}-new"
    console.open("about", TABS["about"])
    console.press("Delete the collection", "document.querySelector('#panel')")
    console.type("dialog input[name=typed]", f"{name}-new")
    console.press("Delete", "document.querySelector('dialog')")
    page.until("document.querySelector('dialog') === null")
    page.until("[...document.querySelectorAll('.message')].some(item => item.textContent.includes('-new deleted'))")
    gone = api_client.request("GET", f"{target.database}/collections/by-id/{target.created['id']}")
    assert gone.status_code == 404
    page.evaluate(f"location.hash = '#default_tenant/default_database/{console.name}/records'; location.reload()")
    page.until(f"document.querySelector('h2 bdi')?.textContent === {json.dumps(console.name)} && !!({RECORDS})")


HOSTILE = [
    "<script>window.owned = true</script>",
    "<img src=x onerror='window.owned = true'>",
    "\u202egnirts lanoitceridib\u202c",
    "javascript:window.owned=true",
    "x" * 900_000,
]


def test_a_hostile_collection_shows_as_text(console: CollectionConsole, api_client: ApiClient) -> None:
    hostile = api_client.collection()
    for row, text in enumerate(HOSTILE):
        key = text[:30]
        hostile.add(
            ids=[f"{row}{text[:60]}"],
            embeddings=[[row, 1]],
            documents=[text],
            metadatas=[{key: text[:500]} | {f"k{number}": number for number in range(300)}],
        )
    page = console.page
    page.evaluate(
        f"location.hash = '#default_tenant/default_database/{hostile.created['name']}/records'; location.reload()"
    )
    page.until("document.querySelectorAll('#panel tbody tr').length === 5")
    assert console.ids() == [f"{row}{text[:60]}" for row, text in enumerate(HOSTILE)]
    page.evaluate("document.querySelectorAll('#panel details').forEach(item => { item.open = true })")
    page.evaluate("document.querySelector('#panel tbody .id').click()")
    page.until("document.querySelector('dialog') !== null")
    assert page.evaluate("window.owned") is None
    assert page.evaluate("document.querySelectorAll('#panel script, #panel img, dialog img').length") == 0
    page.evaluate("document.querySelector('dialog header button').click()")
    page.evaluate(f"location.hash = '#default_tenant/default_database/{console.name}/records'; location.reload()")
    page.until(f"document.querySelector('h2 bdi')?.textContent === {json.dumps(console.name)} && !!({RECORDS})")


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (make test-browser installs it)")
@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(console: CollectionConsole, tab: str, theme: str) -> None:
    console.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    console.open(tab, TABS[tab])
    console.page.evaluate("window.axe ? null : 1") and console.page.evaluate(AXE.read_text() + "; null")
    found = console.page.evaluate(
        "axe.run().then(({violations}) => violations.filter(item => ['serious', 'critical'].includes(item.impact))"
        ".map(item => [item.id, item.nodes.map(node => node.html.slice(0, 200))]))"
    )
    assert found == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_a_phone_and_a_desk(console: CollectionConsole, width: int) -> None:
    console.page.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
    )
    for tab, ready in TABS.items():
        console.open(tab, ready)
        assert console.page.evaluate("document.documentElement.scrollWidth") <= width, tab


def test_nothing_went_wrong_and_no_other_host_was_asked(console: CollectionConsole, api_client: ApiClient) -> None:
    assert [item for item in console.page.trouble if "status of 4" not in item] == []
    here = str(api_client.http.base_url)
    assert [item for item in console.page.asked if not item.startswith((here, "data:"))] == []
