"""`make screenshots`: pictures of the console for the docs, made anew from the shipped sample.

Each picture is taken by a headless Chromium from a server of its own, at one size and in one theme.
"""

import base64
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import rich.console

from afterglow.cli import demo
from tests.console.conftest import Console
from tests.support.browser import PROGRAM, browser
from tests.support.server import running

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST_BYTES = 150_000
"""Of one picture."""
SHARPEST = 90
"""The quality of WebP that is tried first."""


def _records(console: Console) -> None:
    console.open("records", "document.querySelector('#panel tbody .id')")
    console.press("Add a condition")
    console.type("input[aria-label=Key]", "section")
    console.type("select[aria-label=Operator]", "$eq")
    console.type("input[aria-label=Value]", "games")
    console.page.until("document.querySelector('.written').textContent.includes('games')")
    console.page.until(
        "[...document.querySelectorAll('#panel tbody tr')].every(row => row.textContent.includes('games'))"
    )


def _search(console: Console) -> None:
    """The neighbours of a record, with the plan."""
    console.open("search", "document.querySelector('#panel form')")
    console.type("#panel form select", "like")
    console.type("#panel input:not([type])", "stockfish")
    console.page.evaluate("document.querySelector('#panel input[type=checkbox]').click()")
    console.press("Search", "document.querySelector('#panel')")
    console.page.until("document.querySelector('#panel .plan') !== null")
    console.page.evaluate("document.querySelector('#panel .plan').open = false")


def _map(console: Console) -> None:
    console.open("map", "document.querySelector('#panel canvas').dataset.stage === 'done'")
    console.type("#panel .bar select", "section")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its size in CSS pixels, its theme, and how the page comes to what it shows."""

    name: str
    theme: str
    width: int
    height: int
    show: Callable[[Console], None]
    top: str = "body"
    """What is at the top of the picture: a selector."""


PICTURES = (
    Picture("console-records", "light", 1200, 720, _records),
    Picture("console-search", "dark", 1200, 720, _search),
    Picture("console-map", "dark", 1200, 720, _map),
    Picture("console-phone", "light", 390, 760, _map, "h2"),
)


def image(name: str) -> Path:
    """The file of a picture."""
    return IMAGES / f"{name}.webp"


def take(console: Console, picture: Picture) -> bytes:
    """One picture as WebP, as sharp as its limit of bytes allows."""
    page = console.page
    phone = picture.width < 500
    page.command(
        "Emulation.setDeviceMetricsOverride",
        width=picture.width,
        height=picture.height,
        deviceScaleFactor=2 if phone else 1,
        mobile=phone,
    )
    page.evaluate(f"document.documentElement.dataset.theme = '{picture.theme}'")
    picture.show(console)
    page.evaluate(f"document.querySelector('{picture.top}').scrollIntoView()")
    for quality in range(SHARPEST, 0, -10):
        answer = page.command("Page.captureScreenshot", format="webp", quality=quality)
        taken = base64.b64decode(answer["data"])
        if len(taken) <= MOST_BYTES:
            return taken
    raise AssertionError(f"{picture.name} does not fit into {MOST_BYTES} bytes")


def main(pictures: Sequence[Picture] = PICTURES) -> None:
    """Take all pictures."""
    if PROGRAM is None:
        sys.exit("chromium is not installed: make .chromium/.ready")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder, "data")) as server:
        base = f"http://{server.host}:{server.port}"
        demo.run_demo(base, console=rich.console.Console(quiet=True))
        with browser(Path(folder, "profile"), "--hide-scrollbars") as page:
            page.open(f"{base}/#default_tenant/default_database/{demo.COLLECTION}/records")
            page.until("document.querySelector('#panel tbody .id') !== null")
            for picture in pictures:
                image(picture.name).write_bytes(take(Console(page), picture))
                print(f"{image(picture.name).name}: {image(picture.name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
