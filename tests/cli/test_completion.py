"""The completion scripts: bash runs its own; zsh and fish run theirs where they are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from afterglow.cli import completion
from afterglow.cli.main import parser
from tests.support.commands import run_command


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "afterglow.bash"
    path.write_text(run_command("completion", "bash").stdout)
    return path


def complete(script: Path, *words: str) -> list[str]:
    """What bash offers for the last word; nothing means files."""
    program = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _afterglow; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "--norc", "-c", program, "bash", str(script), "afterglow", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["co"], ["collections", "config", "compact", "completion"]),
        (["keys", ""], ["create", "list", "attenuate", "revoke"]),
        (["keys", "create", "--ro"], ["--role"]),
        (["keys", "create", "--role", ""], ["admin", "writer", "reader"]),
        (["keys", "create", "--tenant", "keys", "--role", "re"], ["reader"]),
        (["collections", "delete", "books", "--y"], ["--yes"]),
        (["run", "--log-level", "w"], ["warning"]),
        (["run", "--path", ""], []),
        (["run", "-"], None),
        (["completion", "z"], ["zsh"]),
        (["nonsense", ""], None),
        (["import", "fi"], []),
    ],
)
def test_bash_offers(bash_script: Path, words: list[str], offered: list[str] | None) -> None:
    found = complete(bash_script, *words)
    if offered is not None:
        assert found == offered
    elif words[0] == "run":
        assert {"-p", "--port", "--config", "--help"} <= set(found)
    else:
        assert "keys" in found, "an unknown word names no command"


def test_the_script_registers_itself(bash_script: Path) -> None:
    command = ["bash", "--norc", "-c", 'source "$1"; complete -p afterglow', "bash", str(bash_script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "-F _afterglow afterglow" in done.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_read_their_script(tmp_path: Path, shell: str) -> None:
    text = completion.script(parser(), shell)
    for word in ("collections", "log-level", "admin", "keys create"):
        assert word in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / f"script.{shell}"
    file.write_text(text)
    subprocess.run([shell, "-n", str(file)], check=True, timeout=60)


def test_an_unknown_shell_is_refused() -> None:
    done = run_command("completion", "tcsh")
    assert done.returncode == 2
    assert "invalid choice: 'tcsh'" in done.stderr
