"""Ctrl-C during a long loop; texts that are not UTF-8, and terminals that lack characters."""

import io
import os
import signal
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest

from afterglow import PersistentClient
from afterglow.cli.console import deferred_interrupt
from afterglow.cli.main import main
from tests.support.commands import run_command

BAD = os.fsdecode(b"\xff")


def test_a_discarded_interrupt_is_raised_again_at_the_next_step() -> None:
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt() as check:
        check()
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) == before


def test_an_interrupt_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("console") / os.fsdecode(b"data-\xfe")
    with PersistentClient(path) as client:
        books = client.create_collection("books", embedding_function=None)
        books.add(ids=["ż🙂"], embeddings=[1.0, 2.0])
    return path


@pytest.mark.parametrize(
    "command",
    [
        ["query", BAD, "--vector", "[1, 2]"],
        ["query", "books", "--like", BAD],
        ["erase", "books", BAD, "--yes"],
        ["tail", BAD],
        ["restore", BAD],
        ["compact", BAD],
        ["repair", BAD],
        ["collections", "show", BAD],
        ["collections", "list", "--tenant", BAD],
        ["keys", "create", "--database", BAD],
        ["dump", BAD, "target"],
        ["reembed", BAD, "--to", "default"],
    ],
)
def test_an_argument_that_is_not_utf8_is_one_line(data: Path, command: list[str]) -> None:
    done = run_command(*command, "--path", str(data))
    assert (done.returncode, done.stderr.count("\n")) in ((1, 1), (2, 1))
    assert "Traceback" not in done.stderr


def test_a_folder_whose_name_is_not_utf8(data: Path) -> None:
    for command in (["verify"], ["status"], ["query", "books", "--vector", "[1, 2]"], ["repair"]):
        done = run_command(*command, "--path", str(data))
        assert done.returncode == 0, done.stderr


def test_json_that_is_nested_too_deep_is_refused(data: Path) -> None:
    done = run_command("query", "books", "--vector", "[" * 100_000, "--path", str(data))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_terminal_that_lacks_characters_gets_escapes(data: Path) -> None:
    written = io.BytesIO()
    terminal = io.TextIOWrapper(written, encoding="latin-1", write_through=True)
    with redirect_stdout(terminal):
        main(["query", "books", "--vector", "[1, 2]", "--path", str(data)])
    assert b"\\u017c\\U0001f642" in written.getvalue()
