"""A backup target is a directory, or a prefix of a bucket that need not be the deployment's."""

from pathlib import Path

import pytest

from afterglow.deployment.backup_target import open_backup_target
from afterglow.errors import InvalidArgument, NotFound
from afterglow.settings import AWS_DEFAULTS, Settings, System
from tests.support import aws


def test_a_directory(tmp_path: Path) -> None:
    path = str(tmp_path / "backups")
    with pytest.raises(NotFound, match="backups"):
        open_backup_target(path, Settings(), System(), create=False)
    objects, prefix = open_backup_target(path, Settings(), System(), create=True)
    assert prefix == ""
    objects.put("a/key", b"data")
    again, _ = open_backup_target(path, Settings(), System(), create=False)
    assert again.get("a/key") == b"data"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "expected"), [("", ""), ("/", ""), ("/nightly", "nightly/"), ("/nightly/db/", "nightly/db/")]
)
def test_a_prefix_of_a_bucket_ends_in_a_slash(tmp_path: Path, suffix: str, expected: str) -> None:
    with aws.moto_aws():
        account = aws.make()
        settings = account.settings(AWS_DEFAULTS, tmp_path)
        objects, prefix = open_backup_target(f"s3://{account.bucket}{suffix}", settings, System(), create=False)
        assert prefix == expected
        objects.put(f"{prefix}key", b"data")
        assert [info.key for info in objects.list(prefix)] == [f"{expected}key"]


@pytest.mark.parametrize("target", ["s3://", "s3:///prefix"])
def test_an_address_without_a_bucket(target: str) -> None:
    with pytest.raises(InvalidArgument, match="expected s3://bucket/prefix"):
        open_backup_target(target, Settings(), System(), create=True)
