"""The console reads Excel workbooks as `afterglow import` does, and refuses what no program writes."""

import base64
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.bulk import workbooks
from tests.bulk.workbooks import parts, row, sheet
from tests.console.conftest import CollectionConsole
from tests.support.browser import PROGRAM
from tests.wire.clients import ApiClient

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")]

STYLES = (
    '<styleSheet><numFmts><numFmt numFmtId="170" formatCode="[$-409]d\\-mmm"/></numFmts><cellXfs><xf numFmtId="0"/>'
)
STYLES += '<xf numFmtId="14"/><xf numFmtId="170"/></cellXfs></styleSheet>'
TEXTS = "<sst><si><t>shared</t></si><si><r><t>rich </t></r><r><t>text</t></r><rPh><t>spoken</t></rPh></si></sst>"
DATE, TIME = '<c s="1"><v>45413</v></c>', '<c s="2"><v>45413.5</v></c>'
ROWS = sheet(
    row(1, "id", "text", "vector", "n", "day", "flag", None, "kind"),
    row(
        2,
        "a",
        "=x<y & 1_x000D_",
        "[1, 2]",
        3,
        '<c s="1"><v>45413</v></c>',
        True,
        "no header",
        '<c t="e"><v>#N/A</v></c>',
    ),
    row(5, "b", '<c t="s"><v>1</v></c>', "[2, 1]", 1.5, TIME, False, None, "007"),
)


def read(console: CollectionConsole, content: bytes, sheet_name: str = "") -> Any:
    """What the page reads; the message of an error."""
    encoded = json.dumps(base64.b64encode(content).decode())
    return console.module(
        f"module.workbook(Uint8Array.from(atob({encoded}), sign => sign.charCodeAt(0)), {json.dumps(sheet_name)})"
        ".catch(error => error.message)",
        "workbook.js",
    )


def archive(path: Path, content: Mapping[str, str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    return workbooks.write(path / "a.xlsx", content, compression).read_bytes()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_cells(compression: int, console: CollectionConsole, tmp_path: Path) -> None:
    sheets = {"Empty": sheet(), "Data": ROWS, "Other": sheet(row(1, "id"))}
    content = parts(sheets, others={"styles": STYLES, "sharedStrings": TEXTS})
    found = read(console, archive(tmp_path, content, compression))
    assert found["others"] == ["Other"]
    assert found["rows"] == [
        {
            "line": 2,
            "row": {"id": "a", "text": "=x<y & 1\r", "vector": [1, 2], "n": 3, "day": "2024-05-01", "flag": True},
        },
        {
            "line": 5,
            "row": {
                "id": "b",
                "text": "rich text",
                "vector": [2, 1],
                "n": 1.5,
                "day": "2024-05-01T12:00:00",
                "flag": False,
                "kind": "007",
            },
        },
    ]


def test_a_sheet_is_chosen_by_its_name(console: CollectionConsole, tmp_path: Path) -> None:
    sheets = {name: sheet(row(1, "id"), row(2, name)) for name in ("First", "Second")}
    content = archive(tmp_path, parts({**sheets, "Empty": sheet()}))
    assert read(console, content)["rows"] == [{"line": 2, "row": {"id": "First"}}]
    assert read(console, content, "second") == {"rows": [{"line": 2, "row": {"id": "Second"}}], "others": []}
    assert read(console, content, "Third") == 'The workbook has no sheet "Third", only First, Second, Empty'
    assert read(console, content, "Empty") == 'The sheet "Empty" has no rows'


def test_texts_are_read_as_the_command_reads_them(console: CollectionConsole) -> None:
    """Separators by the header, embeddings that are JSON in a text, and JSON Lines under another name."""
    text = json.dumps('id;emb;note\na;"[1, 2]";x, y\n')
    found = console.module(f"module.rowsOf('a.csv', {text}).map(({{row}}) => module.record(row))", "import.js")
    assert found == [{"id": "a", "document": None, "embedding": [1, 2], "metadata": {"note": "x, y"}}]
    lines = json.dumps(json.dumps({"id": "a", "vector": "[1, 2]"}))
    (found,) = console.module(f"module.rowsOf('a.jsonl', {lines}).map(({{row}}) => module.record(row))", "import.js")
    assert found["embedding"] == [1, 2]
    lines = json.dumps('{"id": "a"}\n{"id": "b"}\n')
    assert [item["row"] for item in console.module(f"module.rowsOf('a.json', {lines})", "import.js")] == [
        {"id": "a"},
        {"id": "b"},
    ]


def test_hostile_files_are_refused(console: CollectionConsole, tmp_path: Path) -> None:
    sound = parts({"Data": ROWS}, others={"styles": STYLES, "sharedStrings": TEXTS})
    part = "xl/worksheets/sheet0.xml"
    entities = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + ROWS.partition("?>")[2]
    assert "has a document type" in read(console, archive(tmp_path, {**sound, part: entities}))
    assert "is no XML" in read(console, archive(tmp_path, {**sound, part: ROWS[:-20]}))
    assert "expands to more than 128 MiB" in read(console, archive(tmp_path, {**sound, part: " " * (129 << 20)}))
    assert "no sheet with rows" in read(console, archive(tmp_path, parts({"Data": sheet()})))
    assert "distinct names" in read(console, archive(tmp_path, parts({"Data": sheet(row(1, "a", "a"))})))
    assert "is no Excel workbook" in read(console, archive(tmp_path, {"other": ""}))
    assert "encrypted" in read(console, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100))
    whole = archive(tmp_path, sound)
    for place in range(0, len(whole), len(whole) // 23):
        assert "no whole Excel workbook" in read(console, whole[:place])
    lying = whole.replace(len(ROWS).to_bytes(4, "little"), (len(ROWS) - 9).to_bytes(4, "little"))
    assert lying != whole
    assert "no whole Excel workbook" in read(console, lying)


def test_a_dropped_workbook_is_imported(console: CollectionConsole, api_client: ApiClient, tmp_path: Path) -> None:
    """By the page's own events; the lines of the report are Excel's."""
    vectors = ["[0, 0.5]", "[1, 0.5]", "[1, 2, 3]", "[3, 0.5]"]
    rows: list[list[object]] = [
        ["id", "embedding", "text", "n"],
        *([f"w{at}", text, f"row {at}", at] for at, text in enumerate(vectors)),
    ]
    encoded = json.dumps(base64.b64encode(workbooks.write_rows(tmp_path / "a.xlsx", rows).read_bytes()).decode())
    target = api_client.collection()
    name = target.created["name"]
    console.page.evaluate(f"location.hash = '#default_tenant/default_database/{name}/import'; location.reload()")
    console.page.until(f"document.querySelector('h2 bdi')?.textContent === {json.dumps(name)}")
    console.open("import", "document.querySelector('.drop')")
    console.page.evaluate(
        "(() => { const data = new DataTransfer();"
        f"data.items.add(new File([Uint8Array.from(atob({encoded}), sign => sign.charCodeAt(0))], 'Books.XLSX'));"
        "const event = new DragEvent('drop', {dataTransfer: data, cancelable: true});"
        "document.querySelector('.drop').dispatchEvent(event) })()"
    )
    console.page.until("document.querySelector('#panel')?.textContent.includes('rejected.')")
    shown = console.page.evaluate("document.getElementById('panel').textContent")
    assert "Books.XLSX: 3 rows written, 1 rejected." in shown
    assert "columns: id from id; embedding from embedding; document from text; metadata from n" in shown
    assert console.page.evaluate("document.querySelector('#panel tbody td').textContent") == "4"
    found = target.records("documents", "metadatas", "embeddings")
    assert "Sheet of a workbook" in shown
    assert (found["ids"], found["documents"]) == (["w0", "w1", "w3"], ["row 0", "row 1", "row 3"])
    assert found["metadatas"] == [{"n": 0}, {"n": 1}, {"n": 3}]
    assert found["embeddings"] == [[0.0, 0.5], [1.0, 0.5], [3.0, 0.5]]
