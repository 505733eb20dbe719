"""A path opens a data directory, no path the AWS account of the settings."""

import subprocess
import sys
from pathlib import Path

from afterglow.deployment.aws import AwsDeployment
from afterglow.deployment.base import AWS_ARGUMENT, NullQueue
from afterglow.deployment.local import LocalDeployment
from afterglow.deployment.open import open_deployment, open_stores
from afterglow.settings import AWS_DEFAULTS, Settings, System
from tests.support import aws


def test_a_path_is_a_data_directory(tmp_path: Path) -> None:
    deployment = open_deployment(tmp_path, Settings(), System())
    assert isinstance(deployment, LocalDeployment)
    assert (deployment.worker_argument(), deployment.queue) == (str(tmp_path), None)
    deployment.table.close()


def test_no_path_is_the_account(tmp_path: Path) -> None:
    with aws.moto_aws():
        deployment = open_deployment(None, aws.make().settings(AWS_DEFAULTS, tmp_path), System())
        assert isinstance(deployment, AwsDeployment)
        assert deployment.worker_argument() == AWS_ARGUMENT
        assert deployment.queue is not None


def test_an_account_needs_the_aws_libraries() -> None:
    program = """
import sys
sys.modules["botocore"] = None
from afterglow.deployment.open import open_deployment
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System
try:
    open_deployment(None, Settings(), System())
except InvalidArgument as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("botocore is not installed")
    assert "pip install" in done.stdout


def test_open_stores_closes_the_table_and_notifies_only_on_request(tmp_path: Path) -> None:
    with open_stores(tmp_path / "data", Settings(), System(), notify=True) as stores:
        stores.table.put("pk", "sk", b"value")
        assert isinstance(stores.queue, NullQueue), "a data directory has no queue"
    with aws.moto_aws():
        settings = aws.make().settings(AWS_DEFAULTS, tmp_path / "cache")
        for notify in (False, True):
            with open_stores(None, settings, System(), notify=notify) as stores:
                assert isinstance(stores.queue, NullQueue) is not notify
