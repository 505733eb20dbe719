"""The image of the API function, built, and invoked through Lambda's Runtime API, over MiniStack."""

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


@pytest.mark.skipif(images.missing() is not None, reason=f"images cannot be built here: {images.missing()}")
def test_building_and_invoking_the_function(tmp_path: Path) -> None:
    context = images.context_of(ROOT, tmp_path / "context")
    image = images.build(LAMBDA, context, tmp_path / "stages")
    shutil.rmtree(context)
    for folder in ("/opt/python", "/opt/runtime"):
        assert not [name for name in image.needed(folder) if not name.startswith(tuple(NEEDED))]
    assert image.command == ["python", "-m", "awslambdaric", "app.handler"]
    with ministack() as stack:
        account = stack.environment(fresh_account())
        with mock.patch.dict("os.environ", account):
            resources = make()
        environment = {**account, **variables(resources, Path("/tmp/afterglow")), "PATH": images.PATH}
        command = image.enter(image.command, unprivileged=True, inherit=True)
        with Function(ROOT / "functions" / "api", [], environment, tmp_path / "log", command=command) as function:
            collection = ""
            for name in STORY:
                body = body_of(function.invoke(event(f"api-{name}", collection)))
                collection = body["id"] if name == "create-collection" else collection
    shutil.rmtree(tmp_path / "stages")


def body_of(response: dict[str, Any]) -> Any:
    """The JSON body of a successful response."""
    assert response["statusCode"] in {200, 201}, response
    body = response["body"]
    return json.loads(zlib.decompress(base64.b64decode(body), 31) if response["isBase64Encoded"] else body)
