"""The console's files: what is served, its headers, its size, and that nothing in them turns texts into HTML."""

import re
from importlib import resources

import pytest

from afterglow.api import static_files
from afterglow.console.policy import PACKAGE
from tests.wire.clients import ApiClient

MAX_BYTES = 400_000
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org/)"
)


def test_all_files_are_small_enough_together() -> None:
    assert sum(len(static_files.read(PACKAGE, name)) for name in static_files.names(PACKAGE)) < MAX_BYTES


@pytest.mark.parametrize("name", sorted(static_files.names(PACKAGE)))
def test_no_file_makes_html_of_a_text_or_names_another_host(name: str) -> None:
    assert FORBIDDEN.findall(static_files.read(PACKAGE, name).decode()) == []


def test_an_unknown_name_is_not_read() -> None:
    for name in ("../files.py", "", "app"):
        with pytest.raises(KeyError):
            static_files.read(PACKAGE, name)


@pytest.mark.parametrize("path", ["/", "/console"])
def test_the_page_is_served_with_a_strict_policy(api_client: ApiClient, path: str) -> None:
    response = api_client.http.get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"


def test_every_file_that_the_page_and_its_modules_name_is_served(api_client: ApiClient) -> None:
    folder = resources.files("afterglow.console").joinpath("static")
    named = set(re.findall(r'"console/([\w.]+)"', "".join(item.read_text() for item in folder.iterdir())))
    named |= {name for item in folder.iterdir() for name in re.findall(r'from "\./([\w.]+)"', item.read_text())}
    assert named == static_files.names(PACKAGE) - {static_files.INDEX}
    for name in named:
        assert api_client.http.get(f"/console/{name}").status_code == 200
    assert api_client.http.get("/console/other.js").status_code == 404
