"""The function's image, put together and fed by Lambda's Runtime API, over MiniStack."""

import base64
import json
import shutil
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.deploy import images
from tests.deploy.test_images import LAMBDA, NEEDED
from tests.docs.generated import ROOT
from tests.functions.loading import event, variables
from tests.functions.test_api import STORY
from tests.support.aws import make
from tests.support.ministack import fresh_account, ministack
from tests.support.runtime import Function

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.mark.skipif(images.missing() is not None, reason=f"no image can be put together here: {images.missing()}")
def test_the_function_is_built_and_answers(tmp_path: Path) -> None:
    context = images.context_of(ROOT, tmp_path / "context")
    image = images.build(LAMBDA, context, tmp_path / "stages")
    shutil.rmtree(context)
    for folder in ("/opt/python", "/opt/runtime"):
        assert not [each for each in image.needed(folder) if not each.startswith(tuple(NEEDED))]
    assert image.command == ["python", "-m", "awslambdaric", "app.handler"]
    with ministack() as stack:
        account = stack.environment(fresh_account())
        with mock.patch.dict("os.environ", account):
            made = make()
        given = {**account, **variables(made, Path("/tmp/afterglow")), "PATH": images.PATH}
        command = image.entering(image.command, unprivileged=True, inherit=True)
        with Function(ROOT / "functions" / "api", [], given, tmp_path / "log", command=command) as function:
            collection = ""
            for name in STORY:
                got = answer(function.invoke(event(f"api-{name}", collection)))
                collection = got["id"] if name == "create-collection" else collection
    shutil.rmtree(tmp_path / "stages")


def answer(got: dict[str, Any]) -> Any:
    """The JSON of a good answer."""
    assert got["statusCode"] in {200, 201}, got
    body = got["body"]
    return json.loads(zlib.decompress(base64.b64decode(body), 31) if got["isBase64Encoded"] else body)
