"""Command lines that are refused with exit code 2, and the help texts."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from afterglow import __version__
from afterglow.cli.main import parser
from tests.support.commands import run_command


def run(arguments: list[str]) -> None:
    args = parser().parse_args(arguments)
    args.command(args)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backup"], "the following arguments are required: --to"),
        (["backup", "--to", "x", "--aws"], "unrecognized arguments: --aws"),
        (["dump", "x"], "the following arguments are required: target"),
        (["load"], "the following arguments are required: source"),
        (["restore"], "restore needs either a COLLECTION or --list"),
        (["restore", "x", "--list"], "restore needs either a COLLECTION or --list"),
        (["restore", "x", "--name", "y", "--replace"], "not allowed with argument"),
        (["import"], "import needs either files and --collection, or a database"),
        (["import", "file"], "import of files needs --collection"),
        (
            ["import", "--from-chroma", "a", "--from-lancedb", "b"],
            "--from-chroma cannot be combined with another database",
        ),
        (["import", "--from-chroma", "x", "--force"], "--from-chroma cannot be combined with"),
        (["run", "--path", ""], "argument --path: the path is empty"),
        (["erase", "x", "y", "--path="], "argument --path: the path is empty"),
        (["backup", "--to", ""], "argument --to: the path is empty"),
        (["rescue", ""], "argument directory: the path is empty"),
        (["dump", "x", ""], "argument target: the path is empty"),
        (["load", ""], "argument source: the path is empty"),
        (["import", "", "--collection", "x"], "argument FILE: the path is empty"),
        (["export", "x", "y.jsonl", "--aws", "--url", "http://z"], "not allowed with argument"),
    ],
)
def test_invalid_command_lines(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        run(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def subparsers(root: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield root
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from subparsers(child)


def test_help_states_only_defaults_that_are_values() -> None:
    helps = [command.format_help() for command in subparsers(parser())]
    text = " ".join(" ".join(helps).split())
    assert not re.search(r"default: (None|False|\[\]|==SUPPRESS==|)\)", text)
    assert "Tenant of the collection. (default: default_tenant)" in text


def test_every_command_describes_itself_and_its_options() -> None:
    for command in subparsers(parser()):
        assert command.description
        assert command.description.endswith(".")
        for action in command._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), (command.prog, action.dest)


def test_every_path_is_checked() -> None:
    for command in subparsers(parser()):
        assert [action.dest for action in command._actions if action.type is Path] == [], command.prog


def test_an_empty_setting_is_no_data_directory() -> None:
    done = run_command("status", env={"AFTERGLOW_PATH": ""})
    assert (done.returncode, done.stderr) == (2, "afterglow: AFTERGLOW_PATH is empty; `.` is the working directory\n")


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "afterglow", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"afterglow {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "usage", "message"),
    [
        (["querry", "books"], "usage: afterglow [-h]", "unknown command 'querry'; did you mean query?"),
        (["xyzzy"], "usage: afterglow [-h]", "unknown command 'xyzzy'; `afterglow --help` lists all"),
        (["keys", "craete"], "usage: afterglow keys ", "unknown command 'craete'; did you mean create?"),
        (["run", "--prot", "1"], "usage: afterglow run ", "unrecognized arguments: --prot"),
        (["keys", "list", "--paht=x"], "usage: afterglow keys list ", "--paht=x; did you mean --path?"),
    ],
)
def test_a_typo_gets_the_usage_of_its_command(arguments: list[str], usage: str, message: str) -> None:
    done = run_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(usage)
    assert message in done.stderr


def test_help_is_a_command_too() -> None:
    assert run_command("help", "keys", "create").stdout == run_command("keys", "create", "--help").stdout
    assert "COMMAND" in run_command("help").stdout
    assert run_command("help", "keys", "craete").returncode == 2
