"""The packaged release: copied to a bucket and created from its template's URL, as its launch link does."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.infra.templates import ROOT
from tests.infra.test_package import package
from tests.support import deployment
from tests.support.aws import REGION
from tests.support.deployment import ARCHITECTURE, client
from tests.support.ministack import MiniStack, ministack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

BUCKET = "releases"


def parts(build: Path) -> dict[str, Path]:
    """What `sam build` made, by the names that it has in a release: the same makefiles build both."""
    found = {f"functions/{path.name}": path for path in (ROOT / "functions").iterdir()}
    for layer, (resource, suffix) in package.LAYERS.items():
        found[f"layers/{layer}{suffix.replace('${Architecture}', ARCHITECTURE)}"] = build / resource
    return found


def test_a_release_is_installed_without_a_checkout(build: Path, tmp_path: Path) -> None:
    with ministack(auth=True, tls=True) as aws:
        try:
            installs(aws, package.package(parts(build), "1.2.3", tmp_path, BUCKET, REGION))
        finally:
            deployment.close_clients(aws)


def installs(aws: MiniStack, release: Path) -> None:
    """Do what INSTALL.md says."""
    s3, cloudformation = client(aws, "s3"), client(aws, "cloudformation")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    for path in release.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), BUCKET, f"{release.name}/{path.relative_to(release)}")
    found = re.search(r"--template-url (\S+)", (release / "INSTALL.md").read_text())
    assert found is not None
    cloudformation.create_stack(
        StackName="released",
        TemplateURL=found[1],
        Parameters=[
            {"ParameterKey": "ReleaseBucket", "ParameterValue": BUCKET},
            {"ParameterKey": "Architecture", "ParameterValue": ARCHITECTURE},
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="released", WaiterConfig={"Delay": 2, "MaxAttempts": 150}
    )
    stack = deployment.described(aws, "released")
    assert stack.status("/api/v2/auth/identity") == 401
    with stack.client() as chroma:
        collection = chroma.create_collection("shelf")
        collection.add(ids=["a", "b"], embeddings=np.eye(2, dtype=np.float32))
        near = np.array([[0.9, 0.1]], dtype=np.float32)
        assert collection.query(query_embeddings=near, n_results=1)["ids"] == [["a"]]
