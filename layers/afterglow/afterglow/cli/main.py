"""The `afterglow` command. Each command imports what it needs when it runs, so that `--help` answers at once.

argparse, because a server that starts on demand pays for every import: see docs/decisions.md.
"""

import argparse
from collections.abc import Callable

from afterglow import __version__
from afterglow.cli.arguments import keys, moving, serving, shared, upkeep
from afterglow.cli.failures import error_boundary

_Command = tuple[str, Callable[[argparse.Namespace], None], Callable[[argparse.ArgumentParser], None]]
"""A command's name, what it does, which its docstring tells, and what gives it its arguments."""

_COMMANDS: tuple[_Command, ...] = (
    ("run", serving.run, serving.run_arguments),
    ("compact", upkeep.compact, shared.one_or_all),
    ("backup", upkeep.backup, upkeep.backup_arguments),
    ("restore", upkeep.restore, upkeep.restore_arguments),
    ("import", moving.import_, moving.import_arguments),
    ("export", moving.export, moving.export_arguments),
    ("verify", upkeep.verify, shared.one_or_all),
    ("demo", serving.demo, serving.demo_arguments),
)
_IMPORTS: tuple[_Command, ...] = (
    ("list", moving.imports_list, shared.collection_place),
    ("show", moving.imports_show, moving.imports_show_arguments),
)
_KEYS: tuple[_Command, ...] = (
    ("create", keys.create, keys.create_arguments),
    ("list", keys.show, keys.show_arguments),
    ("revoke", keys.revoke, keys.revoke_arguments),
)
_FAMILIES = (
    (
        "imports",
        "See how imports went: those of the command, of a watched directory, and of a deployment's bucket.",
        _IMPORTS,
    ),
    ("keys", "Make, list and revoke the API keys that a server with AFTERGLOW_AUTH=keys asks for.", _KEYS),
)


def main() -> None:
    """The program: runs the command that the arguments name."""
    given = parser().parse_args()
    with error_boundary():
        given.command(given)


def parser() -> argparse.ArgumentParser:
    """The arguments of the program and of its commands."""
    top = argparse.ArgumentParser(
        prog="afterglow", description="A vector database that speaks the Chroma API.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"afterglow {__version__}", help="show it and exit")
    commands = _add(top, _COMMANDS)
    for name, text, family in _FAMILIES:
        _add(commands.add_parser(name, help=text, description=text, allow_abbrev=False), family)
    return top


def _add(
    to: argparse.ArgumentParser, commands: tuple[_Command, ...]
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    added = to.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command, add_arguments in commands:
        text = (command.__doc__ or "").strip()
        sub = added.add_parser(
            name,
            help=text,
            description=text,
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        add_arguments(sub)
        sub.set_defaults(command=command)
    return added
