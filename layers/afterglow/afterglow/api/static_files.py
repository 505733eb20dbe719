"""Files that a room brings along in its folder `static`, as responses."""

from functools import cache
from importlib import resources

from afterglow.api.http.handler import Response
from afterglow.errors import NotFound

INDEX = "index.html"

_CONTENT_TYPES = {
    "html": b"text/html; charset=utf-8",
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}


@cache
def names(package: str) -> frozenset[str]:
    """The names of a package's static files."""
    return frozenset(item.name for item in resources.files(package).joinpath("static").iterdir())


@cache
def read(package: str, name: str) -> bytes:
    """The bytes of a static file. Raises KeyError for a name that is not one of `names`."""
    if name not in names(package):
        raise KeyError(name)
    return resources.files(package).joinpath("static", name).read_bytes()


def respond(package: str, name: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Response:
    """The response with a static file. Raises NotFound."""
    if name not in names(package):
        raise NotFound(f"no such page: {name}")
    content_type = _CONTENT_TYPES[name.rpartition(".")[2]]
    return Response(read(package, name), content_type=content_type, headers=list(headers))
