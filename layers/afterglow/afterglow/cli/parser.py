"""The parser of a program with commands: a mistake gets the usage of the command that it was made in, and a suggestion.

argparse alone reports an unknown option with the usage of the program, and an unknown command with a list of all.
"""

import argparse
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

PARSER = "command_parser"
"""The attribute of a namespace with the parser of its command."""


class CommandParser(argparse.ArgumentParser):
    """Parses the arguments of a program, of a group of commands, or of a command."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            hint = _suggestion(value, action.choices) or f"; `{self.prog} --help` lists all"
            raise argparse.ArgumentError(None, f"unknown command {value!r}{hint}")
        super()._check_value(action, value)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments; exits with 2 if one is unknown, after the usage of its command."""
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        command: argparse.ArgumentParser = getattr(parsed, PARSER, parser)
        known = [option for action in command._actions for option in action.option_strings]
        command.error(f"unrecognized arguments: {' '.join(unknown)}{_suggestion(unknown[0].split('=')[0], known)}")
    return parsed


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
