"""The console's files, with their content types and the headers that confine the page.

The policy lets the page load scripts, styles and workers from its own origin only and send requests to it only, so a
text of a record cannot run or fetch anything even if a script displayed it as HTML.
"""

from functools import cache
from importlib import resources

INDEX = "index.html"

_CONTENT_TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}

HEADERS: list[tuple[bytes, bytes]] = [
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data:; "
            b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]
"""Headers of every file of the console."""


@cache
def names() -> frozenset[str]:
    """The names of all files."""
    return frozenset(item.name for item in resources.files("afterglow.console").joinpath("static").iterdir())


@cache
def read(name: str) -> tuple[bytes, bytes]:
    """A file's bytes and its content type. Raises KeyError for a name that is not one of `names`."""
    if name not in names():
        raise KeyError(name)
    content = resources.files("afterglow.console").joinpath("static", name).read_bytes()
    return content, _CONTENT_TYPES[name.rpartition(".")[2]]
