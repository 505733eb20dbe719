"""What the docs say exists."""

import json
import re
import shlex
from pathlib import Path

import pytest

from afterglow import __version__, settings
from afterglow.api.v2.routes import ROUTES
from tests.docs import cost, diagram, written
from tests.docs.written import README, ROOT

PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"```.*?```|`[^`\n]+`|^ {4}\S[^\n]*$", re.DOTALL | re.MULTILINE)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Path) -> list[str]:
    """Everything on the page that is set as code."""
    return [each.strip("` \n") for each in CODE.findall(page.read_text())]


def test_the_written_parts_are_up_to_date() -> None:
    text = written.OPERATIONS.read_text()
    assert written.between(text, "commands") == written.commands_text(), "run `make docs`"
    assert written.between(text, "settings") == written.settings_text(), "run `make docs`"
    assert written.between(written.ARCHITECTURE.read_text(), "stack") == diagram.mermaid(), "run `make docs`"
    assert written.between(README.read_text(), "bench")
    assert written.between(written.SEARCH.read_text(), "hybrid")
    assert written.between(written.IMPORTING.read_text(), "scale")


def test_the_tables_of_cost_are_up_to_date() -> None:
    text = written.COST.read_text()
    for mark, table in cost.texts().items():
        assert written.between(text, mark) == table, "run `make docs`"


@pages
def test_environment_variables_exist(page: Path) -> None:
    known = {settings.PREFIX + name.upper() for name in settings.Settings.__dataclass_fields__}
    assert set(re.findall(r"AFTERGLOW_[A-Z_]+", page.read_text())) <= known


@pages
def test_commands_and_their_options_exist(page: Path) -> None:
    known = {name: {each for each, _, _ in written.options(sub)} for name, sub in written.commands().items()}
    for each in code(page):
        for line in each.splitlines():
            words = shlex.split(line.split("#")[0]) if "afterglow " in line and "'" not in line else []
            if words[:1] != ["afterglow"] or len(words) == 1:
                continue
            name = next((each for each in (" ".join(words[1:3]), words[1]) if each in known), words[1])
            assert name in known | {"--version": set(), "--help": set(), "keys": set()}, line
            assert {word for word in words[2:] if word.startswith("--")} <= known.get(name, set()), line


@pages
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for each in code(page):
        assert set(re.findall(r"^make ([a-z-]+)", each, re.MULTILINE)) <= targets, each


@pages
def test_routes_exist(page: Path) -> None:
    known = {route.path for route in ROUTES}
    for each in code(page):
        assert set(re.findall(r"(/api/v2[\w/{}-]*)", each)) <= known, each


@pages
def test_links_and_rooms_exist(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_target_of_make_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    assert explained == set(phony.split())


def test_every_room_is_in_the_docs_and_in_the_contracts() -> None:
    package = ROOT / "layers" / "afterglow" / "afterglow"
    rooms = {path.stem for path in package.iterdir() if not path.name.startswith("_") and path.suffix in ("", ".py")}
    told = (ROOT / "docs" / "architecture.md").read_text()
    assert rooms <= set(re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE))


def test_one_version_everywhere() -> None:
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


CLIENTS = [f"clients/{each.stem}" for each in (ROOT / "layers" / "dependencies" / "clients").glob("*.txt")]


@pytest.mark.parametrize("name", ["requirements", "requirements-build", "requirements-dev", *CLIENTS])
def test_the_lock_files_hold_versions_and_hashes_only(name: str) -> None:
    lines = (ROOT / "layers" / "dependencies" / f"{name}.txt").read_text().splitlines()
    pinned = re.compile(r"[a-z0-9][a-z0-9.-]*==[^ ]+( ; [^\\]+)? \\")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert lines
    for line in lines:
        assert pinned.fullmatch(line) or hashed.fullmatch(line), line


@pytest.mark.parametrize("judge", ["v1", "v2"])
def test_the_lock_files_of_npm_name_no_registry(judge: str) -> None:
    lock = json.loads((ROOT / "tests" / "clients" / "typescript" / judge / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert name == "" or package["integrity"].startswith("sha512-")
        assert "resolved" not in package
