"""The docs agree with the code: generated sections, settings, commands, make targets, routes, links, names."""

import json
import re
import shlex
from importlib.metadata import version
from pathlib import Path

import chromadb.api
import pytest

from afterglow import __version__, settings
from afterglow.api.v2.routes import ROUTES
from tests.benchmarks import contention
from tests.console import screenshots
from tests.docs import bench_chart, cost_tables, diagram, generated
from tests.docs.generated import ARCHITECTURE, BENCHMARKS, DOCS, OPERATIONS, README, ROOT

PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))]
CODE = re.compile(r"```.*?```|`[^`\n]+`|^ {4}\S[^\n]*$", re.DOTALL | re.MULTILINE)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Path) -> list[str]:
    """All code of a page: blocks and inline."""
    return [match.strip("` \n") for match in CODE.findall(page.read_text())]


def command_lines(page: Path) -> list[list[str]]:
    """The words of every line that calls `afterglow`, without a path before the name."""
    lines = [line for snippet in code(page) for line in snippet.splitlines()]
    words = [shlex.split(line.split("#")[0]) for line in lines if "afterglow " in line and "'" not in line]
    words = [line[next((index for index, word in enumerate(line) if "=" not in word), 0) :] for line in words]
    return [line for line in words if len(line) > 1 and line[0].split("/")[-1] == "afterglow"]


def test_generated_sections_are_current() -> None:
    text = OPERATIONS.read_text()
    assert generated.section(text, "commands") == generated.commands_text(), "run `make docs`"
    assert generated.section(text, "settings") == generated.settings_text(), "run `make docs`"
    assert generated.section(text, "key-filters") == generated.key_filters_text(), "run `make docs`"
    assert generated.section(ARCHITECTURE.read_text(), "stack") == diagram.mermaid(), "run `make docs`"
    for mark in generated.MARK_OF_TABLE.values():
        assert generated.section(BENCHMARKS.read_text(), mark)


def test_the_chart_of_the_bench_shows_its_table() -> None:
    table = generated.section(BENCHMARKS.read_text(), "bench")
    assert generated.BENCH_CHART.read_text() == bench_chart.svg(table), "run `make docs`"
    assert bench_chart.ratios(table)["delete by a filter"] > 1


def test_every_picture_is_shown_made_by_a_command_and_small() -> None:
    shown = {Path(name).name for page in PAGES for name in re.findall(r"\bimages/([\w.-]+)", page.read_text())}
    made = {screenshots.image(picture.name).name for picture in screenshots.PICTURES} | {generated.BENCH_CHART.name}
    files = list(screenshots.IMAGES.iterdir())
    assert shown == made == {file.name for file in files}
    assert [file.name for file in files if file.stat().st_size > screenshots.MOST_BYTES] == []


def test_the_ceilings_of_a_log_are_current() -> None:
    assert generated.section(generated.AWS.read_text(), "contention") == contention.table(), "run `make docs`"


@pytest.mark.slow
def test_cost_tables_are_current() -> None:
    text = generated.COST.read_text()
    for mark, table in cost_tables.tables().items():
        assert generated.section(text, mark) == table, "run `make docs`"


@pages
def test_environment_variables_exist(page: Path) -> None:
    variables = {generated.variable(name) for name in settings.Settings.__dataclass_fields__}
    variables |= {
        settings.CONFIG_VARIABLE,
        "AFTERGLOW_BENCH_CORPUS",
        "AFTERGLOW_CRASH_ROUNDS",
        "AFTERGLOW_FOLLOWED_WRITES",
        "AFTERGLOW_TEST_SUBJECT",
    }
    assert set(re.findall(r"AFTERGLOW_[A-Z_]+", page.read_text())) <= variables


@pages
def test_commands_and_their_options_exist(page: Path) -> None:
    known = {name: {option for option, _, _ in generated.options(sub)} for name, sub in generated.commands().items()}
    for words in command_lines(page):
        name = next((name for name in (" ".join(words[1:3]), words[1]) if name in known), words[1])
        assert name in known | {"--version": set(), "--help": set(), "keys": set()}, words
        assert {word for word in words[2:] if word.startswith("--")} <= known.get(name, set()), words


@pages
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for snippet in code(page):
        assert set(re.findall(r"^make ([a-z-]+)", snippet, re.MULTILINE)) <= targets, snippet


@pages
def test_routes_exist(page: Path) -> None:
    paths = {route.path for route in ROUTES}
    for snippet in code(page):
        named = re.sub("default_(tenant|database)", r"{\1}", snippet)
        assert set(re.findall(r"(/api/v2[\w/{}-]*)", named)) <= paths, snippet


@pages
def test_linked_files_and_headings_exist(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\((?!http)([^)#]*)(#([^)]+))?\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if anchor:
            assert anchor in headings(linked), f"{target}#{anchor}"


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_every_page_is_linked_from_the_readme() -> None:
    text = README.read_text()
    for page in DOCS.glob("*.md"):
        assert f"docs/{page.name}" in text, page.name


def test_every_text_in_troubleshooting_is_one_that_a_user_meets() -> None:
    """Parts of a text between `…`, as written in our sources or in the client's."""
    sources = [*(ROOT / "layers" / "afterglow").rglob("*.py"), *Path(chromadb.api.__path__[0]).glob("*.py")]
    text = "\n".join(source.read_text() for source in sources)
    text = re.sub(r"\"\s*\n\s*f?\"", "", text)  # literals that are continued on the next line
    rows = re.findall(r"^\| (.*?) \|", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    quoted = [part.strip(" :.") for row in rows for code in re.findall(r"`([^`]+)`", row) for part in code.split("…")]
    messages = [part for part in quoted if " " in part and part != "requires a different Python"]
    assert len(messages) > 15
    assert [message for message in messages if message not in text] == []


def test_every_command_has_help() -> None:
    for name, command in generated.commands().items():
        assert command.description, name
        for option, _, text in generated.options(command):
            assert text, f"{name} {option}"


def test_every_target_of_make_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = set(re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE))
    assert explained == set(phony.split())


def test_every_package_is_in_the_docs() -> None:
    package = ROOT / "layers" / "afterglow" / "afterglow"
    rooms = {path.stem for path in package.iterdir() if not path.name.startswith("_") and path.suffix in ("", ".py")}
    section = ARCHITECTURE.read_text().partition("## Packages")[2].partition("## ")[0]
    assert rooms == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 130


def test_the_glossary_is_short_and_sorted() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+?) \|$", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    terms = [term for term, _, _ in rows]
    assert 30 <= len(terms) <= 45
    assert terms == sorted(set(terms), key=str.lower)


def test_one_version_everywhere() -> None:
    assert version("afterglow-db") == __version__
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


def test_the_distribution_has_one_name() -> None:
    assert 'name = "afterglow-db"' in (ROOT / "pyproject.toml").read_text()
    extras = set(re.findall(r"^(\w+) = \[\"", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    for page in PAGES:
        for name, extra in re.findall(r"\b(afterglow(?:-db)?)\[(\w+)\]", page.read_text()):
            assert name == "afterglow-db", page.name
            assert extra in extras, page.name


CLIENTS = [f"clients/{path.stem}" for path in (ROOT / "layers" / "dependencies" / "clients").glob("*.txt")]


@pytest.mark.parametrize("name", ["requirements", "requirements-build", "requirements-dev", *CLIENTS])
def test_the_lock_files_hold_versions_and_hashes_only(name: str) -> None:
    lines = (ROOT / "layers" / "dependencies" / f"{name}.txt").read_text().splitlines()
    pinned = re.compile(r"[a-z0-9][a-z0-9.-]*==[^ ]+( ; [^\\]+)? \\")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert lines
    for line in lines:
        assert pinned.fullmatch(line) or hashed.fullmatch(line), line


@pytest.mark.parametrize("client", ["v1", "v2"])
def test_the_lock_files_of_npm_name_no_registry(client: str) -> None:
    lock = json.loads((ROOT / "tests" / "clients" / "typescript" / client / "package-lock.json").read_text())
    for name, package in lock["packages"].items():
        assert name == "" or package["integrity"].startswith("sha512-")
        assert "resolved" not in package
