"""Commands that fail at startup: one line, an exit code, no traceback."""

import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from afterglow import __version__

PROGRAM = Path(sys.executable).with_name("afterglow")


def afterglow(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **env}, check=False
    )


def assert_failed(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    for word in ("afterglow: ", *words):
        assert word in line


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_in_use(tmp_path: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = afterglow("run", "--path", str(tmp_path), "--port", str(port), "--workers", workers)
    assert_failed(done, 1, f"cannot listen on 127.0.0.1:{port}", "address already in use", "--port")


def test_invalid_host(tmp_path: Path) -> None:
    assert_failed(
        afterglow("run", "--path", str(tmp_path), "--host", "no such host"), 1, "cannot listen on no such host"
    )


def test_path_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_failed(afterglow("run", "--path", str(tmp_path / "file")), 1, "file: not a directory")
    assert_failed(afterglow("run", "--path", str(tmp_path / "file" / "below")), 1, "below: not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_path_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert_failed(afterglow("run", "--path", str(tmp_path)), 1, "no permission")
    assert_failed(afterglow("run", "--path", str(tmp_path / "new")), 1, "cannot be created: permission denied")


def test_bad_setting(tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = afterglow("run", "--path", str(new), AFTERGLOW_FLUSH_OPS="many")
    assert_failed(done, 2, "AFTERGLOW_FLUSH_OPS must be a whole number, got 'many'")
    done = afterglow("run", "--path", str(new), AFTERGLOW_KEEP_ALIVE_SECONDS="-1")
    assert_failed(done, 2, "AFTERGLOW_KEEP_ALIVE_SECONDS must be neither negative nor infinite, got '-1'")
    assert not new.exists()


@pytest.mark.parametrize("option", [["--port", "70000"], ["--workers", "0"], ["--nonsense"]])
def test_invalid_options_exit_with_2(option: list[str]) -> None:
    done = afterglow("run", *option)
    assert done.returncode == 2
    assert option[0] in done.stderr
    assert "Traceback" not in done.stderr


def test_version() -> None:
    done = afterglow("--version")
    assert (done.returncode, done.stdout) == (0, f"afterglow {__version__}\n")


def test_help_imports_nothing_heavy() -> None:
    heavy = ["numpy", "usearch", "uvicorn", "starlette", "pydantic"]
    program = f"import sys, afterglow.cli.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.slow
def test_aws_without_settings() -> None:
    assert_failed(afterglow("run", "--aws", AFTERGLOW_TABLE=""), 1, "AFTERGLOW_TABLE is not set", "deploy the stack")
    assert_failed(
        afterglow("compact", "--aws", AFTERGLOW_TABLE="t", AFTERGLOW_BUCKET=""), 1, "AFTERGLOW_BUCKET is not set"
    )


@pytest.mark.slow
def test_aws_that_does_not_respond(tmp_path: Path) -> None:
    account = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AFTERGLOW_TABLE": "t",
        "AFTERGLOW_BUCKET": "b",
        "AFTERGLOW_CACHE_DIR": str(tmp_path),
    }
    assert_failed(afterglow("run", "--aws", "--port", "0", **account), 1, "table t did not respond")


@pytest.mark.slow
def test_aws_without_boto3(tmp_path: Path) -> None:
    program = "import sys; sys.modules['botocore'] = None; from afterglow.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "--aws"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "AFTERGLOW_TABLE": "t", "AFTERGLOW_BUCKET": "b", "AFTERGLOW_CACHE_DIR": str(tmp_path)},
        check=False,
    )
    assert_failed(done, 1, "botocore is not installed", "pip install 'afterglow-db[aws]'")


@pytest.mark.slow
def test_a_data_directory_of_an_older_format(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "table.sqlite")) as table:
        table.execute("PRAGMA user_version = 1")
    for arguments in (("run", "--port", "0"), ("run", "--port", "0", "--workers", "2"), ("verify",)):
        done = afterglow(*arguments, "--path", str(tmp_path))
        assert_failed(done, 1, "table.sqlite has format 1, this release reads format 3", "afterglow export")
