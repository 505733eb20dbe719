"""The function of the API as it is deployed by default: closed, until somebody who may write its table makes a key."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from afterglow.cli.main import parser
from tests.aws_lambda.conftest import Lines
from tests.functions.loading import Context, event, loaded, variables
from tests.support.aws import make, moto_aws


@pytest.fixture
def function(tmp_path: Path) -> Iterator[ModuleType]:
    with moto_aws():
        given = variables(make(), tmp_path)
        del given["AFTERGLOW_AUTH"]
        with loaded("api", given) as module:
            yield module


def keys(function: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """`afterglow keys`, with the outputs of the stack in the environment."""
    monkeypatch.setenv("AFTERGLOW_TABLE", function.settings.table)
    monkeypatch.setenv("AFTERGLOW_BUCKET", function.settings.bucket)
    monkeypatch.setenv("AFTERGLOW_CACHE_DIR", str(tmp_path / "laptop"))
    args = parser().parse_args(["keys", *arguments, "--aws"])
    args.command(args)


def answer(function: ModuleType, name: str, collection: str = "", **headers: str) -> tuple[int, Any]:
    sent = event(name, *[collection] * bool(collection))
    got = function.handler({**sent, "headers": {**sent["headers"], **headers}}, Context())
    return got["statusCode"], json.loads(got["body"])


@pytest.mark.slow
def test_it_is_closed_until_there_is_a_key(
    function: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: Lines,
) -> None:
    assert function.settings.auth == "keys"
    for name in ("api-heartbeat", "api-pre-flight-checks"):
        assert answer(function, name)[0] == 200
    status, body = answer(function, "api-list-collections")
    assert (status, body["error"]) == (401, "AuthError")
    assert answer(function, "api-add", **{"x-chroma-token": "guess"})[0] == 401

    laptop = (function, tmp_path, monkeypatch)
    keys(*laptop, "create", "--name", "first")
    key = capsys.readouterr().out.strip()
    headers = {"x-chroma-token": key}
    identity = {"user_id": key[2:14], "tenant": "default_tenant", "databases": ["default_database"]}
    assert answer(function, "api-identity", **headers) == (200, identity)
    _, created = answer(function, "api-create-collection", **headers)
    assert answer(function, "api-add", created["id"], **headers)[0] == 201
    answer(function, "api-query", created["id"], **headers)
    lines()
    assert answer(function, "api-query", created["id"], **headers)[0] == 200
    (logged,) = lines()
    assert (logged["caller"], logged["calls"]) == (key[2:14], {"dynamodb.Query": 1})
    assert key[14:] not in json.dumps(logged)

    keys(*laptop, "list")
    assert key[2:14] in capsys.readouterr().out
    keys(*laptop, "revoke", key[2:14])
    assert "within 60 seconds" in capsys.readouterr().out


def test_no_secret_is_logged(function: ModuleType, lines: Lines) -> None:
    for headers in ({"x-chroma-token": "S3CRET"}, {"authorization": "Basic UzNDUkVUOlMzQ1JFVA=="}):
        assert answer(function, "api-query", **headers)[0] == 401
    text = json.dumps(lines())
    assert "S3CRET" not in text
    assert "UzNDUkVUOlMz" not in text
