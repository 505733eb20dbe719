"""The parts of the docs that are written from the code, between markers. `make docs` writes them, a test compares.

`python -m tests.docs.written [TABLE]` rewrites them; TABLE is a file with a bench's markdown table, for the README or,
where it is of searches or of bulk loads, for their page.
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
from afterglow.cli.main import parser
from tests.docs import cost, diagram

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
COST = ROOT / "docs" / "cost.md"
SEARCH = ROOT / "docs" / "search.md"
IMPORTING = ROOT / "docs" / "importing.md"
README = ROOT / "README.md"


def commands() -> dict[str, argparse.ArgumentParser]:
    """The commands of the program, by name; of those that have commands of their own, these."""
    return dict(sorted(_commands(parser(), "")))


def _commands(of: argparse.ArgumentParser, prefix: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    nested = [each for each in of._actions if isinstance(each, argparse._SubParsersAction)]
    if not nested:
        yield prefix.strip(), of
    for each in nested:
        for name, command in each.choices.items():
            yield from _commands(command, f"{prefix} {name}")


def options(command: argparse.ArgumentParser) -> Iterator[tuple[str, str, str]]:
    """Name, default and help of each option and argument."""
    for each in command._actions:
        if isinstance(each, argparse._HelpAction):
            continue
        name = max(each.option_strings, key=len) if each.option_strings else each.dest.upper()
        default = "" if each.default is argparse.SUPPRESS else f"`{each.default}`"
        yield name, default, each.help or ""


def commands_text() -> str:
    """Every command with its options."""
    parts = []
    for name, command in commands().items():
        parts.append(f"`afterglow {name}`: {command.description}\n")
        rows = list(options(command))
        if rows:
            parts.append("| option | default | |\n|---|---|---|")
            parts.append("\n".join(f"| `{name}` | {default} | {text} |" for name, default, text in rows) + "\n")
    return "\n".join(parts)


def settings_text() -> str:
    """A table of every setting with its default and what its docstring says."""
    tree = ast.parse(inspect.getsource(settings))
    body = next(each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == "Settings").body
    told: dict[str, str] = {}
    for line, following in pairwise(body):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            told[line.target.id] = " ".join(str(following.value.value).split())
    rows = ["| variable | default | with `--aws` | in a function | |", "|---|---|---|---|---|"]
    for each in fields(settings.Settings):
        values = [
            getattr(of, each.name) for of in (settings.Settings(), settings.AWS_DEFAULTS, settings.LAMBDA_DEFAULTS)
        ]
        shown = [_shown(value) for value in values]
        differing = [shown[0], *("" if value == shown[0] else value for value in shown[1:])]
        rows.append(f"| `{settings.PREFIX}{each.name.upper()}` | {' | '.join(differing)} | {told[each.name]} |")
    return "\n".join(rows) + "\n"


def _shown(value: object) -> str:
    return f"{value:_}" if type(value) is int else str(value)


def between(text: str, mark: str) -> str:
    """What stands between the markers `mark`."""
    found = re.search(rf"<!-- {mark}: [^\n]*-->\n(.*?)<!-- /{mark} -->", text, re.DOTALL)
    assert found, f"no markers {mark}"
    return found[1]


def replaced(text: str, mark: str, by: str) -> str:
    """`text` with `by` between the markers `mark`."""
    old = between(text, mark)
    return text.replace(f"-->\n{old}<!-- /{mark} -->", f"-->\n{by}<!-- /{mark} -->")


def main() -> None:
    """Writes them."""
    text = OPERATIONS.read_text()
    text = replaced(text, "commands", commands_text())
    OPERATIONS.write_text(replaced(text, "settings", settings_text()))
    text = COST.read_text()
    for mark, table in cost.texts().items():
        text = replaced(text, mark, table)
    COST.write_text(text)
    ARCHITECTURE.write_text(replaced(ARCHITECTURE.read_text(), "stack", diagram.mermaid()))
    for name in sys.argv[1:]:
        written = Path(name).read_text().strip() + "\n"
        title = written.partition("|")[2].partition("|")[0].strip()
        page, mark = {"search": (SEARCH, "hybrid"), "bulk load": (IMPORTING, "scale")}.get(title, (README, "bench"))
        page.write_text(replaced(page.read_text(), mark, written))


if __name__ == "__main__":
    main()
