"""Scripts that complete commands, options and their values in bash, zsh and fish, generated from the parser.

Each finds out which command the words before the cursor name, then offers:

1. after an option with choices, the choices;
2. for a word that begins with a dash, the options of the command;
3. after the program or a group, its commands; after a command whose argument has choices, these;
4. else files.
"""

import argparse
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Option:
    """An option: its names, help text, whether a value follows, and the values if they are known."""

    names: tuple[str, ...]
    help: str
    has_value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Command:
    """The program (`path` is empty), a group or a command; `commands` are those below it, with their help texts.

    `choices` are the values of its argument, if they are known.
    """

    path: str
    commands: Mapping[str, str]
    options: tuple[_Option, ...]
    choices: tuple[str, ...]


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for one of `SHELLS`."""
    return SHELLS[shell](parser.prog, list(_commands(parser, "")))


def _commands(parser: argparse.ArgumentParser, path: str) -> Iterator[_Command]:
    commands: dict[str, str] = {}
    options, choices, children = list[_Option](), list[str](), list[_Command]()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                commands[name] = child.description or ""
                children += _commands(child, f"{path} {name}".strip())
        elif action.option_strings:
            values = tuple(map(str, action.choices or ()))
            options.append(_Option(tuple(action.option_strings), action.help or "", action.nargs != 0, values))
        else:
            choices += map(str, action.choices or ())
    yield _Command(path, commands, tuple(options), tuple(choices))
    yield from children


def _bash(program: str, commands: Sequence[_Command]) -> str:
    offer = 'COMPREPLY=($(compgen -W {text} -- "$current")); return'
    return f"""\
_{program}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command="" word
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$command $word" in
      {_paths(commands)}) command="${{command:+$command }}$word" ;;
    esac
  done
  COMPREPLY=()
{_cases(commands, offer)}
}}
complete -o default -F _{program} {program}
"""


def _zsh(program: str, commands: Sequence[_Command]) -> str:
    return f"""\
#compdef {program}
_{program}() {{
  local current=${{words[CURRENT]}} previous=${{words[CURRENT-1]}} command="" word
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$command $word" in
      {_paths(commands)}) command="${{command:+$command }}$word" ;;
    esac
  done
{_cases(commands, "compadd -- {words}; return")}
  _files
}}
compdef _{program} {program}
"""


def _fish(program: str, commands: Sequence[_Command]) -> str:
    """As a rule for each word, which names the command that it belongs to."""
    lines = [
        f"function __{program}_at",
        "  set -l command ''",
        "  for word in (commandline -opc)[2..-1]",
        '    switch "$command $word"',
        f"      case {' '.join(shlex.quote(_key(command)) for command in commands if command.path)}",
        '        set command (string trim -- "$command $word")',
        "    end",
        "  end",
        '  test "$command" = "$argv[1]"',
        "end",
    ]
    for command in commands:
        rule = f"complete -c {program} -n \"__{program}_at '{command.path}'\""
        for name, text in command.commands.items():
            lines.append(f"{rule} -f -a {name} -d {_fish_text(text)}")
        if command.choices:
            lines.append(f"{rule} -f -a {shlex.quote(' '.join(command.choices))}")
        for option in command.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = f" -x -a {shlex.quote(' '.join(option.choices))}" if option.choices else " -r -F"
            lines.append(f"{rule} {names}{value if option.has_value else ''} -d {_fish_text(option.help)}")
    return "\n".join(lines) + "\n"


def _fish_text(text: str) -> str:
    """The text in quotes, on one line. In fish a backslash in quotes quotes only a backslash and the quote."""
    escaped = " ".join(text.split()).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


SHELLS: dict[str, Callable[[str, Sequence[_Command]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def _key(command: _Command) -> str:
    """The path of the command above, a space, and the command's own name."""
    above, _, name = command.path.rpartition(" ")
    return f"{above} {name}"


def _paths(commands: Sequence[_Command]) -> str:
    return " | ".join(f'"{_key(command)}"' for command in commands if command.path)


def _cases(commands: Sequence[_Command], offer: str) -> str:
    """What bash and zsh offer, in the order of the rules; `offer` takes `words`, or `text`, the same as one word."""

    def branches(subject: str, cases: Iterable[tuple[str, Sequence[str]]]) -> str:
        lines = [f'  case "{subject}" in']
        for pattern, words in cases:
            quoted = offer.format(words=" ".join(map(shlex.quote, words)), text=shlex.quote(" ".join(words)))
            lines.append(f"    {pattern}) {quoted} ;;")
        return "\n".join([*lines, "  esac"])

    values = (
        (" | ".join(f'"{command.path} {name}"' for name in option.names), option.choices)
        for command in commands
        for option in command.options
        if option.choices
    )
    options = (
        (f'"{command.path} "-*', [name for option in command.options for name in option.names]) for command in commands
    )
    words = (
        (f'"{command.path}"', [*command.commands, *command.choices])
        for command in commands
        if command.commands or command.choices
    )
    return "\n".join(
        (branches("$command $previous", values), branches("$command $current", options), branches("$command", words))
    )
