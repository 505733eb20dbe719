"""The writer: which objects it leaves, and in how small chunks it reads."""

from dataclasses import replace

import numpy as np
import pytest

from afterglow.segment import array_file, manifest, writer
from afterglow.segment.manifest import segments_prefix
from afterglow.storage.ports import Stores
from tests.segment.row_groups import COLLECTION, every_row, memory_row_group, random_rows, write_rows
from tests.support.faulty import Crash, Fault, Faults
from tests.support.stores import with_faults


def test_every_file_is_an_object_under_the_segment(stores: Stores) -> None:
    info = write_rows(stores, every_row(memory_row_group(random_rows(20))), graph=True)
    own_prefix = f"{segments_prefix(COLLECTION)}{info.id}/"
    stored = {found.key: found.size for found in stores.objects.list(own_prefix)}
    assert stored == {file.key: file.size for file in info.files.values()}
    assert set(info.files) == {manifest.ROWS, manifest.STRINGS, manifest.VECTORS, manifest.GRAPH}
    for file in info.files.values():
        assert array_file.checksum_of(stores.objects.local_path(file.key)) == file.checksum


def test_every_deletion_vector_is_a_new_object(stores: Stores) -> None:
    info = write_rows(stores, every_row(memory_row_group(random_rows(4))))
    mask = np.array([False, True, False, True])
    one, other = (writer.write_deletions(stores, "c/segments/", info, mask) for _ in range(2))
    assert one.key != other.key
    assert one.checksum == other.checksum
    assert one.key.startswith(f"c/segments/{info.id}/{manifest.DELETED}-")


@pytest.mark.parametrize("number", range(4))
def test_a_crash_leaves_only_orphans(stores: Stores, number: int) -> None:
    """No file of another segment is touched, and the next attempt succeeds under another name."""
    subset = every_row(memory_row_group(random_rows(20)))
    before = {found.key for found in stores.objects.list(segments_prefix(COLLECTION))}
    faults = Faults(lambda at, _: Fault.CRASH_AFTER if at == number else None)
    crashing = with_faults(stores, faults)
    try:
        write_rows(crashing, subset, graph=True)
    except Crash:
        assert len(faults.calls) == number + 1
    assert before <= {found.key for found in stores.objects.list(segments_prefix(COLLECTION))}
    assert write_rows(stores, subset, graph=True).rows == 20


def test_chunks_are_a_fraction_of_the_memory(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    chunks = writer._vector_chunks

    def recorded(*args: object) -> object:
        sizes.append(args[4])  # type: ignore[arg-type]
        return chunks(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(writer, "_vector_chunks", recorded)
    for memory in (0, 6_400, 1 << 40):
        limited = replace(stores, settings=replace(stores.settings, compaction_memory_bytes=memory))
        write_rows(limited, every_row(memory_row_group(random_rows(3))))
    assert sizes == [1, 100, 8 * 1024 * 1024]
