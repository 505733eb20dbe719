"""Copies of segment files that went bad on the disk of a container."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afterglow.errors import Corrupt
from afterglow.segment import array_file
from afterglow.segment.array_file import FileRef, MappedFile
from afterglow.storage.ports import Stores
from tests.support.aws import make, moto_aws, stores_on_aws


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    with moto_aws():
        yield stores_on_aws(make(), tmp_path / "cache")


def stored(stores: Stores) -> FileRef:
    scratch = stores.objects.temporary_path("written")
    array_file.write(scratch, "some", {}, {"a": np.arange(100)})
    return array_file.upload(stores.objects, "collection/some", scratch)


@pytest.mark.parametrize("length", [0, 100, None])
def test_a_damaged_copy_is_fetched_anew(stores: Stores, length: int | None) -> None:
    info = stored(stores)
    path = stores.objects.local_path(info.key)
    path.write_bytes(bytes(info.size if length is None else length))
    assert MappedFile(stores.objects, info).arrays("some")[1]["a"].tolist() == list(range(100))


def test_a_damaged_object_is_reported_after_one_more_download(stores: Stores) -> None:
    info = stored(stores)
    stores.objects.put(info.key, bytes(info.size))
    with pytest.raises(Corrupt, match="does not match its checksum"):
        MappedFile(stores.objects, info)
