"""The generated parts of the docs, between markers: `make docs` writes them, a test compares them with the code.

`python -m tests.docs.generated [TABLE]` rewrites them. TABLE is a file with a benchmark's markdown table; it replaces
the table of its kind in docs/benchmarks.md.
"""

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

from afterglow import settings
from afterglow.api.v2.routes import ROUTES
from afterglow.auth import Permission
from afterglow.cli.main import parser
from afterglow.cli.options import has_default
from tests.benchmarks import contention
from tests.docs import bench_chart, cost_tables, diagram

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
AWS = DOCS / "aws.md"
ARCHITECTURE = DOCS / "architecture.md"
BENCHMARKS = DOCS / "benchmarks.md"
BENCH_CHART = DOCS / "images" / "bench.svg"
COST = DOCS / "cost.md"
OPERATIONS = DOCS / "operations.md"
SEARCH = DOCS / "search.md"

MARK_OF_TABLE = {
    "figure": "bench",
    "search": "search-quality",
    "search by text": "text-quality",
    "bulk load": "bulk-load",
    "a loop of the stock client": "stock-loop",
    "churn": "churn",
    "embedded": "embedded-peers",
    "embedded, made rows": "embedded-made-rows",
    "texts": "texts",
    "vector type": "vector-types",
    "part of a query": "query-budget",
    "commit": "commits",
    "key's filter": "key-filter-cost",
    "console": "console",
}
"""First heading of a benchmark's table -> its mark in docs/benchmarks.md."""


def commands() -> dict[str, argparse.ArgumentParser]:
    """All commands by name; a group such as `keys` is represented by its subcommands."""
    return dict(sorted(_commands(parser(), "")))


def _commands(command: argparse.ArgumentParser, prefix: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    groups = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield prefix.strip(), command
    for group in groups:
        for name, child in group.choices.items():
            yield from _commands(child, f"{prefix} {name}")


def options(command: argparse.ArgumentParser) -> Iterator[tuple[str, str, str]]:
    """Name, default and help of each option and argument."""
    for action in command._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        name = max(action.option_strings, key=len) if action.option_strings else action.dest.upper()
        yield name, f"`{action.default}`" if has_default(action) else "", action.help or ""


def commands_text() -> str:
    """All commands with their options."""
    sections = []
    for name, command in commands().items():
        sections.append(f"`afterglow {name}`: {command.description}\n")
        rows = list(options(command))
        if rows:
            sections.append("| option | default | |\n|---|---|---|")
            sections.append("\n".join(f"| `{name}` | {default} | {text} |" for name, default, text in rows) + "\n")
    return "\n".join(sections)


def settings_text() -> str:
    """A table of all settings: name, defaults, and the field's docstring in settings/model.py."""
    tree = ast.parse(inspect.getsource(settings.model))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings").body
    descriptions: dict[str, str] = {}
    for line, following in pairwise(body):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            descriptions[line.target.id] = " ".join(str(following.value.value).split())
    rows = ["| variable | default | with `--aws` | in a function | |", "|---|---|---|---|---|"]
    deployments = (settings.Settings(), settings.AWS_DEFAULTS, settings.LAMBDA_DEFAULTS)
    for field in fields(settings.Settings):
        values = [_format(getattr(defaults, field.name)) for defaults in deployments]
        cells = [values[0], *("" if value == values[0] else value for value in values[1:])]
        rows.append(f"| `{variable(field.name)}` | {' | '.join(cells)} | {descriptions[field.name]} |")
    return "\n".join(rows) + "\n"


def key_filters_text() -> str:
    """A table of the operations that a key with filters may call, and of those refused, by tag."""
    allowed: dict[str, list[str]] = {}
    refused: dict[str, list[str]] = {}
    for route in (route for route in ROUTES if route.permission is not Permission.PUBLIC and not route.hidden):
        allowed.setdefault(route.tag, [])
        refused.setdefault(route.tag, [])
        (refused if route.restricted is None else allowed)[route.tag].append(route.operation)
    rows = ["| | allowed | 403 |", "|---|---|---|"]
    for tag, names in allowed.items():
        cells = (", ".join(f"`{name}`" for name in operations) for operations in (names, refused[tag]))
        rows.append(f"| {tag} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def variable(field: str) -> str:
    """The environment variable of a setting."""
    return settings.PREFIX + field.upper()


def _format(value: object) -> str:
    return f"{value:_}" if type(value) is int else str(value)


def section(text: str, mark: str) -> str:
    """The text between the markers `mark`."""
    match = re.search(rf"<!-- {mark}: [^\n]*-->\n(.*?)<!-- /{mark} -->", text, re.DOTALL)
    assert match, f"no markers {mark}"
    return match[1]


def replace_section(text: str, mark: str, content: str) -> str:
    """`text` with `content` between the markers `mark`."""
    old = section(text, mark)
    return text.replace(f"-->\n{old}<!-- /{mark} -->", f"-->\n{content}<!-- /{mark} -->")


def rewrite(page: Path, contents: dict[str, str]) -> None:
    """Replace the sections of a page; `contents` maps mark -> content."""
    text = page.read_text()
    for mark, content in contents.items():
        text = replace_section(text, mark, content)
    page.write_text(text)


def main() -> None:
    """Write all generated sections."""
    rewrite(OPERATIONS, {"commands": commands_text(), "settings": settings_text(), "key-filters": key_filters_text()})
    rewrite(ARCHITECTURE, {"stack": diagram.mermaid()})
    rewrite(AWS, {"contention": contention.table()})
    rewrite(COST, cost_tables.tables())
    for name in sys.argv[1:]:
        table = Path(name).read_text().strip() + "\n"
        heading = table.partition("|")[2].partition("|")[0].strip()
        rewrite(BENCHMARKS, {MARK_OF_TABLE[heading]: table})
    BENCH_CHART.write_text(bench_chart.svg(section(BENCHMARKS.read_text(), "bench")))


if __name__ == "__main__":
    main()
