"""The deployment of an AWS account: names from the settings, a machine-wide indexer lock, no clean-up of its own."""

from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.deployment.aws import open_aws, open_bucket
from afterglow.deployment.base import NullQueue
from afterglow.errors import InvalidArgument
from afterglow.settings import AWS_DEFAULTS, System
from tests.support import aws


@pytest.mark.parametrize(("name", "output"), [("table", "Table"), ("bucket", "Bucket")])
def test_a_missing_setting_is_named_with_its_stack_output(tmp_path: Path, name: str, output: str) -> None:
    complete = replace(AWS_DEFAULTS, table="t", bucket="b", cache_dir=str(tmp_path))
    settings = {"table": replace(complete, table=""), "bucket": replace(complete, bucket="")}[name]
    with pytest.raises(InvalidArgument, match=rf"AFTERGLOW_{name.upper()} is not set.*output {output}"):
        open_aws(settings, System())


def test_without_a_queue_setting_nobody_is_notified(tmp_path: Path) -> None:
    with aws.moto_aws():
        settings = replace(aws.make().settings(AWS_DEFAULTS, tmp_path), queue="")
        assert open_aws(settings, System()).queue is None


def test_the_lock_excludes_another_indexer_with_the_same_cache(tmp_path: Path) -> None:
    with aws.moto_aws():
        settings = aws.make().settings(AWS_DEFAULTS, tmp_path)
        one, other = open_aws(settings, System()), open_aws(settings, System())
        with one.exclusive_lock() as is_held:
            assert is_held
            with other.exclusive_lock(wait=False) as is_held_twice:
                assert not is_held_twice
        with other.exclusive_lock(wait=False) as is_held:
            assert is_held


@pytest.mark.slow
def test_stores_work_on_the_table_and_the_bucket(tmp_path: Path) -> None:
    with aws.moto_aws():
        account = aws.make()
        settings = account.settings(AWS_DEFAULTS, tmp_path)
        deployment = open_aws(settings, System())
        stores = deployment.stores(settings, System(), NullQueue())
        stores.table.put("pk", "sk", b"value")
        stores.objects.put("key", b"data")
        deployment.reclaim_space(System(), thorough=True)
        assert stores.table.get("pk", "sk") is not None
        assert open_bucket(account.bucket, settings, System()).get("key") == b"data"
