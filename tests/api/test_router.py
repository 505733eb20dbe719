"""The router finds what a look at every route in turn would find."""

import re
from itertools import product

import pytest

from afterglow.api.http.router import Router
from afterglow.api.v2.routes import ROUTES

PATHS = list(dict.fromkeys(route.path for route in ROUTES))


def first_match(paths: list[str], path: str) -> tuple[str, dict[str, str]] | None:
    for route in paths:
        match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.replace(".", r"\.")), path)
        if match is not None:
            return route, match.groupdict()
    return None


def find(paths: list[str], path: str) -> tuple[str, dict[str, str]] | None:
    return Router((route, route) for route in paths).find(path)


@pytest.mark.parametrize("route", PATHS)
def test_every_route_is_found_as_in_turn(route: str) -> None:
    router = Router((path, path) for path in PATHS)
    assert router.find(route) is not None
    literals = {part for path in PATHS for part in path.split("/")}
    for name in [*sorted(literals), "a b", "%2F", "", "\n", "."]:
        for path in (name.join(re.split(r"\{\w+\}", route)), route[: route.rfind("/") + 1] + name):
            assert router.find(path) == first_match(PATHS, path), path
    for path in (route + "/", "/" + route, route[1:], route + "x", route.upper(), route + "\n", ""):
        assert router.find(path) == first_match(PATHS, path), path


def test_the_first_of_several_routes_serves() -> None:
    paths = ["/a/{x}", "/a/b", "/{y}/b", "/c/b", "/c/{z}/b", "/{y}/{z}/{w}"]
    for parts in product(["a", "b", "c"], repeat=2):
        path = "/" + "/".join(parts)
        assert find(paths, path) == first_match(paths, path)
    for parts in product(["a", "b", "c"], repeat=3):
        path = "/" + "/".join(parts)
        assert find(paths, path) == first_match(paths, path)
    assert find(paths, "/a/b") == ("/a/{x}", {"x": "b"})
