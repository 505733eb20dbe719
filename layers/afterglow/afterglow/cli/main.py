"""The `afterglow` command: the parser of all its commands, and the entry point.

The parser is argparse's: a server that starts on demand pays for every import (docs/decisions.md). Every command
imports what it needs when it runs, so that `--help` answers at once.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from afterglow.cli import (
    backup,
    bulk,
    completion,
    config,
    demo,
    erase,
    import_files,
    inspect,
    keys,
    maintain,
    options,
    recover,
    reembed,
    rescue,
    run,
    tail,
)
from afterglow.cli.console import echo, error_boundary
from afterglow.cli.parser import PARSER, CommandParser, parse
from afterglow.settings import use_settings_file
from afterglow.version import __version__


@dataclass(frozen=True, slots=True)
class _Command:
    """A command: its name, its function, whose docstring is the help text, and the function that adds its options."""

    name: str
    function: Callable[[argparse.Namespace], None]
    add_options: Callable[[argparse.ArgumentParser], None]


@dataclass(frozen=True, slots=True)
class _Group:
    """Commands below one name, such as `keys create`."""

    name: str
    description: str
    commands: tuple[_Command, ...]


def _help(args: argparse.Namespace) -> None:
    """Show the help of the program or of a command."""
    parse(parser(), [*args.words, "--help"])


def _add_help_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="COMMAND", help="Command to explain, such as `keys create`.")


def _completion(args: argparse.Namespace) -> None:
    """Print a script that completes commands and options in a shell."""
    echo(completion.script(parser(), args.shell).rstrip())


def _add_completion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(completion.SHELLS), help="Shell to print the script for.")


_COMMANDS: tuple[_Command | _Group, ...] = (
    _Command("run", run.run, run.add_run_options),
    _Command("demo", demo.demo, demo.add_demo_options),
    _Group(
        "keys",
        "Create, list, narrow and revoke API keys, which a server with AFTERGLOW_AUTH=keys requires.",
        (
            _Command("create", keys.create, keys.add_create_options),
            _Command("list", keys.list_keys, options.add_deployment),
            _Command("attenuate", keys.attenuate, keys.add_attenuate_options),
            _Command("revoke", keys.revoke, keys.add_revoke_options),
        ),
    ),
    _Command("status", inspect.status, options.add_endpoint),
    _Group(
        "collections",
        "List, show and delete collections.",
        (
            _Command("list", inspect.list_collections, inspect.add_list_options),
            _Command("show", inspect.show_collection, inspect.add_collection_options),
            _Command("delete", inspect.delete_collection, inspect.add_delete_options),
        ),
    ),
    _Command("query", inspect.query, inspect.add_query_options),
    _Command("tail", tail.tail, tail.add_tail_options),
    _Group(
        "config",
        "Show the current settings.",
        (_Command("show", config.show, config.add_show_options),),
    ),
    _Command("import", import_files.import_, import_files.add_import_options),
    _Group(
        "import-reports",
        "Show the results of imports by the import command, from a watched directory, or from a deployment's bucket.",
        (
            _Command("list", bulk.list_import_reports, bulk.add_report_list_options),
            _Command("show", bulk.show_import_report, bulk.add_report_show_options),
        ),
    ),
    _Command("rescue", rescue.rescue, rescue.add_rescue_options),
    _Command("export", bulk.export, bulk.add_export_options),
    _Command("reembed", reembed.reembed, reembed.add_reembed_options),
    _Command("backup", backup.backup, backup.add_backup_options),
    _Command("restore", backup.restore, backup.add_restore_options),
    _Command("dump", backup.dump, backup.add_dump_options),
    _Command("load", backup.load, backup.add_load_options),
    _Command("compact", maintain.compact, maintain.add_compact_options),
    _Command("erase", erase.erase, erase.add_erase_options),
    _Command("erasures", erase.list_erasures, erase.add_erasures_options),
    _Command("verify", maintain.verify, maintain.add_collection_options),
    _Command("repair", maintain.repair, maintain.add_repair_options),
    _Command("recover", recover.recover, recover.add_recover_options),
    _Command("completion", _completion, _add_completion_options),
    _Command("help", _help, _add_help_options),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command given by the arguments, by default those of the command line."""
    args = parse(parser(), arguments)
    if getattr(args, "config", None) is not None:
        use_settings_file(args.config)
    with error_boundary():
        args.command(args)


def parser() -> argparse.ArgumentParser:
    """The parser of the program and its commands; the parsed `command` is a function of the namespace."""
    root = CommandParser(
        prog="afterglow", description="A vector database that serves the Chroma API.", allow_abbrev=False
    )
    root.add_argument("--version", action="version", version=f"afterglow {__version__}", help="show it and exit")
    _add(root, _COMMANDS)
    return root


def _add(parent: argparse.ArgumentParser, commands: Sequence[_Command | _Group]) -> None:
    subparsers = parent.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands:
        text = command.description if isinstance(command, _Group) else (command.function.__doc__ or "").strip()
        child = subparsers.add_parser(
            command.name,
            help=text,
            description=text,
            allow_abbrev=False,
            formatter_class=options.HelpFormatter,
        )
        if isinstance(command, _Group):
            _add(child, command.commands)
        else:
            command.add_options(child)
            child.set_defaults(command=command.function, **{PARSER: child})
