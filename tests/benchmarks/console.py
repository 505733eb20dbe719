"""What a person waits for in the console: the first content, a page of records, the map of a sample.

A headless Chromium on a server with the corpus, in one process each; times are those of the page's own clock, from the
start of the navigation or from the click until the browser shows the result. Each is taken several times.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from afterglow import __version__
from tests.benchmarks import arguments, corpus
from tests.benchmarks.report import Circumstances
from tests.support.browser import PROGRAM, Page, browser
from tests.support.server import Server, running
from tests.support.wire import Wire

COLLECTION = "packages"
BATCH = 500
SAMPLE = 5_000
"""Points of the map, of `console/static/map.js`."""
_PAINTED = "performance.getEntriesByName('first-contentful-paint').length"
_ROWS = "document.querySelector('#panel tbody .id')"
_POSITION = "document.querySelector('#panel .position')?.textContent"
_STAGE = "document.querySelector('#panel canvas')?.dataset.stage"
_TABS = "document.getElementById('tab-{}').click()"
_NEXT = "[...document.querySelectorAll('#panel button')].find(item => item.textContent === 'Next').click()"


def load(server: Server, records: corpus.Corpus) -> str:
    """Write the records and wait until they are indexed; returns the address of their table in the console."""
    with server.client() as client:
        wire = Wire(client)
        collection = wire.create(COLLECTION, configuration={"hnsw": {"space": "cosine"}})
        for start in range(0, len(records), BATCH):
            rows = slice(start, start + BATCH)
            texts = {"documents": records.documents[rows], "metadatas": records.metadatas[rows]}
            vectors = records.embeddings[rows].tolist()
            wire.write(collection, "add", {"ids": records.ids[rows], "embeddings": vectors, **texts})
        while wire.unindexed(collection):
            time.sleep(1)
    return f"http://{server.host}:{server.port}/#default_tenant/default_database/{COLLECTION}/records"


def elapsed(page: Page, condition: str, action: str = "") -> float:
    """Milliseconds from an action until a condition holds in a frame; without an action, from the navigation."""
    begin = "performance.now()" if action else "0"
    look = f"const look = () => ({condition}) ? done(performance.now() - begin) : requestAnimationFrame(look)"
    script = f"new Promise(done => {{ const begin = {begin}; {action}; {look}; look() }})"
    return float(page.evaluate(script))


def measure(page: Page, address: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every round, by what is waited for."""
    times: dict[str, list[float]] = {}

    def note(name: str, milliseconds: float) -> None:
        times.setdefault(name, []).append(milliseconds)

    page.open(address)
    page.until(f"!!{_ROWS}")
    page.command("Network.setCacheDisabled", cacheDisabled=True)
    for _ in range(rounds):
        page.command("Page.navigate", url="about:blank")
        page.command("Page.navigate", url=address)
        page.until("location.hash !== ''")
        rows = elapsed(page, f"!!{_ROWS}")
        page.until(_PAINTED)
        note("first content", page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        note("the first page of records, from the navigation on", rows)
        page.until(f"{_POSITION}.includes('of')")
        for _ in range(5):
            shown = json.dumps(page.evaluate(_POSITION))
            note("the next page of 50 records", elapsed(page, f"{_ROWS} && {_POSITION} !== {shown}", _NEXT))
        note(f"the map of {SAMPLE:,} records", elapsed(page, f"!!{_STAGE}", _TABS.format("map")))
        note("after the map, until its neighbours are arranged", elapsed(page, f"{_STAGE} === 'done'", "0"))
    return times


def table(times: dict[str, list[float]]) -> list[str]:
    """The lines of the table."""
    lines = ["| console | median | least | most |", "|---|--:|--:|--:|"]
    for name, values in times.items():
        cells = " | ".join(f"{value:,.0f} ms" for value in (statistics.median(values), min(values), max(values)))
        lines.append(f"| {name} | {cells} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = arguments.bench_parser("tests.benchmarks.console", __doc__)
    arguments.add_corpus(parser)
    arguments.add_rows(parser)
    arguments.add_rounds(parser, 5)
    options = parser.parse_args()
    if PROGRAM is None:
        sys.exit("chromium is not installed: make .chromium/.ready")
    records = corpus.load(options.corpus, options.rows)
    with tempfile.TemporaryDirectory(prefix="afterglow-bench-") as name, running(Path(name, "data")) as server:
        address = load(server, records)
        with browser(Path(name, "profile")) as page:
            lines = table(measure(page, address, options.rounds))
    lines += ["", Circumstances(records.name, len(records), f"afterglow {__version__}").line()]
    print("\n".join(lines))
    arguments.write_table(options.markdown, "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
