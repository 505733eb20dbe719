"""`afterglow keys`, alongside a server that requires keys."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.commands import run_command
from tests.support.server import HOST, running

PROGRAM = Path(sys.executable).with_name("afterglow")
COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"


def keys(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("keys", *arguments)


def create(*arguments: str) -> str:
    done = keys("create", *arguments)
    assert done.returncode == 0, done.stderr
    key = done.stdout.strip()
    assert re.fullmatch("ag[0-9A-Za-z]{55}", key)
    assert key not in done.stderr
    return key


@pytest.mark.slow
def test_attenuated_keys(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    env = {"AFTERGLOW_AUTH": "keys", "AFTERGLOW_AUTH_CACHE_SECONDS": "0"}
    key = create("--path", str(path))
    program = [str(PROGRAM), "keys", "attenuate", "-", "--role", "reader", "--expires-in", "3600"]
    made = subprocess.run(program, input=key, capture_output=True, text=True, check=True, timeout=120).stdout.strip()
    narrower = keys("attenuate", made, "--where", 'books={"owner": "ann"}').stdout.strip()
    for options, message in (
        (("attenuate", made), "needs a condition"),
        (("attenuate", "x", "--role", "reader"), "not an API key"),
        (("attenuate", key, "--expires-in", "0"), "a number of seconds"),
        (("attenuate", key, "--where", "books={bad"), "is not JSON"),
    ):
        refused = keys(*options)
        assert (refused.returncode != 0, message in refused.stderr, refused.stdout) == (True, True, "")
    with running(path, env=env) as server:

        def statuses() -> list[int]:
            headers = [{"x-chroma-token": one} for one in (key, made, narrower, made[:-1])]
            return [httpx.get(f"http://{HOST}:{server.port}{COLLECTIONS}", headers=one).status_code for one in headers]

        assert statuses() == [200, 200, 200, 401]
        url = f"http://{HOST}:{server.port}{COLLECTIONS}"
        assert httpx.post(url, json={"name": "books"}, headers={"x-chroma-token": made}).status_code == 403
        assert keys("revoke", key[2:14], "--path", str(path)).returncode == 0
        assert statuses() == [401] * 4


@pytest.mark.slow
def test_the_life_of_a_key(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    options = ("--path", str(path))
    # Before the first start of the server, which therefore never has to be open.
    first = create(*options, "--name", "first")
    env = {"AFTERGLOW_AUTH": "keys", "AFTERGLOW_AUTH_CACHE_SECONDS": "0"}
    with running(path, env=env, options=["--workers", "2"]) as server:
        with httpx.Client(base_url=f"http://{HOST}:{server.port}") as client:

            def status(key: str | None, path: str = COLLECTIONS) -> int:
                return client.get(path, headers={} if key is None else {"authorization": f"Bearer {key}"}).status_code

            assert (status(None), status(first), status("x")) == (401, 200, 401)
            for name in ("one", "two"):
                databases = "/api/v2/tenants/default_tenant/databases"
                made = client.post(databases, json={"name": name}, headers={"authorization": f"Bearer {first}"})
                assert made.status_code == 200
            reader = create(
                *options, "--role", "reader", "--database", "one", "--database", "two", "--name", "a reader"
            )
            assert status(reader) == 403
            assert status(reader, COLLECTIONS.replace("default_database", "two")) == 200
            listed = keys("list", *options).stdout.splitlines()
            assert listed[0].split() == ["ID", "ROLE", "TENANT", "DATABASES", "FILTERS", "CREATED", "NAME"]
            rows = sorted(line.split(maxsplit=3)[:3] for line in listed[1:])
            assert rows == sorted(
                [[first[2:14], "admin", "default_tenant"], [reader[2:14], "reader", "default_tenant"]]
            )
            assert any("one,two" in line and line.endswith("a reader") for line in listed)
            assert first not in "".join(listed)
            done = keys("revoke", first[2:14], *options)
            assert (done.returncode, done.stdout) == (0, "revoked; servers reject the key within 60 seconds\n")
            assert status(first) == 401
            assert "AuthError" in client.get(COLLECTIONS).text
        # The server reads a rejected upload to its end, so that the client reads the response.
        with httpx.Client(base_url=f"http://{HOST}:{server.port}") as client:
            for _ in range(2):
                response = client.post(f"{COLLECTIONS}/x/add", content=b" " * 8_000_000)
                assert (response.status_code, response.json()["error"]) == (401, "AuthError")
        assert first[14:] not in server.output.read_text()


def test_failures(tmp_path: Path) -> None:
    options = ("--path", str(tmp_path / "data"))
    for arguments in (("list", *options), ("revoke", "x", *options)):
        done = keys(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "not a data directory" in done.stderr
    (tmp_path / "data").mkdir()
    create(*options, "--tenant", "*")
    done = keys("revoke", "nosuch", *options)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no key has the id 'nosuch'" in done.stderr
    done = keys("create", *options, "--tenant", "*", "--database", "one")
    assert done.returncode == 1
    assert "needs the tenant" in done.stderr
    assert keys("create", *options, "--role", "king").returncode == 2
    done = keys("create", *options, "--role", "reader", "--where", 'books={"$and": []}')
    assert (done.returncode, done.stdout) == (1, "")
    assert "--where of books: the filter of a key needs at least one condition" in done.stderr


@pytest.mark.slow
def test_invalid_settings(tmp_path: Path) -> None:
    """The server does not start, as it would be open to everybody."""
    for env, message in (
        ({"AFTERGLOW_AUTH": "on"}, "AFTERGLOW_AUTH must be off"),
        ({"AFTERGLOW_AUTH": "token"}, "AFTERGLOW_AUTH_TOKEN is not set"),
        ({"AFTERGLOW_AUTH": "htpasswd", "AFTERGLOW_AUTH_FILE": "/nowhere"}, "/nowhere cannot be read"),
        ({"CHROMA_SERVER_AUTHN_PROVIDER": "chromadb.auth.token_authn.TokenAuthenticationServerProvider"}, "token"),
    ):
        done = subprocess.run(
            [PROGRAM, "run", "--path", str(tmp_path / "data"), "--port", "0"],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (1, 2)
        assert message in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tenant", "nobody"], "no tenant 'nobody'"),
        (["--database", "default_database", "--database", "none"], "no database 'none' in tenant 'default_tenant'"),
    ],
)
def test_a_key_for_what_does_not_exist_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = keys("create", "--path", str(tmp_path), *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert message in done.stderr
    assert len(keys("list", "--path", str(tmp_path)).stdout.splitlines()) == 1


def test_a_key_in_a_directory_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = keys("create", "--path", str(tmp_path / "dta"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "dta: no such directory" in done.stderr
    assert not (tmp_path / "dta").exists()
    (tmp_path / "notes.txt").touch()
    done = keys("create", "--path", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "not a data directory" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
