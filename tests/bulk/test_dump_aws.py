"""Between a directory and an account: copies in a bucket, exports, verification."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.bulk import export as exporting
from afterglow.bulk.dump.create import create_dump
from afterglow.bulk.dump.layout import DumpStore
from afterglow.bulk.dump.load import load_dump
from afterglow.bulk.local_endpoint import LocalEndpoint
from afterglow.catalog import Catalog, collections
from afterglow.collection import Engine
from afterglow.deployment.backup_target import open_backup_target
from afterglow.errors import InvalidArgument
from afterglow.settings import Settings, System
from afterglow.storage.ports import Stores
from tests.bulk.dumping import PLACE, contents, database, dump_store, fill, opened, problems
from tests.bulk.test_export import READERS
from tests.support import aws


@pytest.fixture(scope="module")
def made() -> Iterator[aws.Made]:
    with aws.moto_aws():
        yield aws.make()


def account(made: aws.Made, folder: Path) -> Stores:
    return aws.stores_on_aws(made, folder / "cache")


@pytest.mark.slow
def test_from_a_directory_by_a_bucket_to_an_account_and_back(made: aws.Made, folder: Path) -> None:
    settings = replace(Settings(), cache_dir=str(folder / "other cache"))
    system = System()
    with opened(folder / "data") as stores:
        fill(stores)
        bucket = DumpStore(*open_backup_target(f"s3://{made.bucket}/copies/one/", settings, system, create=True), "s3")
        assert bucket.index_key == "copies/one/backup.json"
        assert create_dump(stores, database(stores), bucket).new > 5
        assert create_dump(stores, database(stores), bucket).new == 0
        remote = account(made, folder)
        assert load_dump(remote, bucket, *PLACE).loaded == 3
        assert contents(remote) == contents(stores)
        assert problems(remote) == []
        create_dump(remote, database(remote), dump_store(folder))
        with opened(folder / "back") as back:
            load_dump(back, dump_store(folder), *PLACE)
            assert contents(back) == contents(stores)
            assert problems(back) == []
            for name in READERS:
                files = []
                for number, item in enumerate((stores, remote, back)):
                    side = local_side(item)
                    found = side.find(*PLACE, "everything")
                    assert found is not None
                    exporting.export(side, found, folder / f"{number}{name}", system, lambda _: lambda _: None)
                    files.append((folder / f"{number}{name}").read_bytes())
                assert files[0] == files[1] == files[2]


def local_side(stores: Stores) -> LocalEndpoint:
    return LocalEndpoint(stores, Engine(stores))


@pytest.mark.slow
def test_verification_of_an_account(made: aws.Made, folder: Path) -> None:
    remote = account(made, folder)
    catalog = Catalog(remote.table, remote.system)
    catalog.ensure_defaults()
    catalog.create_database("default_tenant", "harmed")
    with opened(folder / "data") as stores:
        fill(stores)
        create_dump(stores, database(stores), dump_store(folder))
    load_dump(remote, dump_store(folder), "default_tenant", "harmed")
    assert problems(remote) == []
    scope = collections.by_name(remote.table, database(remote, "harmed"), "everything")
    assert scope is not None
    key = next(info.key for info in remote.objects.list(f"{scope.id}/segments/") if info.key.endswith("/vectors"))
    body = remote.objects.get(key)
    remote.objects.put(key, body[:-1] + bytes([body[-1] ^ 1]))
    assert problems(remote) == [f"object {key} does not match its checksum"]
    remote.objects.delete(key)
    assert problems(remote) == [f"object {key} is missing"]


@pytest.mark.parametrize("where", ["s3://", "s3:///prefix"])
def test_what_is_no_bucket(where: str) -> None:
    with pytest.raises(InvalidArgument, match="expected s3://bucket/prefix"):
        open_backup_target(where, Settings(), System(), create=True)
