"""Of files that several processes wrote, every vector is found, and none is passed off as that of another record."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from afterglow.bulk.chroma_directory.parts import Part
from tests.bulk.chroma_directory import damage, make, write_together
from tests.bulk.chroma_directory.conftest import ChromaCopy, opened


@pytest.mark.parametrize("version", make.VERSIONS)
def test_directories_of_chroma(version: str, tmp_path: Path) -> None:
    """Chroma itself returns vectors of other records for some of them."""
    with tarfile.open(make.TOGETHER_ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    path = tmp_path / version
    vectors = {
        f"{writer}-{number}": write_together.vector(writer, number)
        for writer in write_together.WRITERS
        for number in range(write_together.RECORDS)
    }
    content = b"".join(file.read_bytes() for file in path.glob("*/data_level0.bin"))
    with opened(path) as found:
        parts = {part: found.contents("shared", part) for part in Part}
        inventory = found.inventory("shared")
    assert "several processes wrote the files" in str(inventory.damage)
    records, uncertain = parts[Part.RECORDS], parts[Part.UNCERTAIN]
    assert records
    assert all(record[0] == vectors[name] for name, record in records.items())
    if version == "0.4.24":  # until 0.5 Chroma removes nothing from the queue
        assert records.keys() == vectors.keys()
    else:
        assert any(record[0] != vectors[name] for name, record in uncertain.items())
    documents = records | uncertain | parts[Part.WITHOUT_VECTORS]
    assert {name: record[1] for name, record in documents.items()} == {name: f"document {name}" for name in vectors}
    present = [vector for vector in vectors.values() if np.array(vector, "<f4").tobytes() in content]
    assert len(present) > 90
    saved = [record[0] for part in (Part.RECORDS, Part.UNCERTAIN, Part.LEFTOVERS) for record in parts[part].values()]
    assert all(vector in saved for vector in present)


@pytest.mark.parametrize("version", ["0.4.24", "0.6.3"])
def test_files_of_another_collection(version: str, copy_of: Callable[[str], ChromaCopy]) -> None:
    """The label map has other ids, or the same ids for other vectors."""
    chroma = copy_of(version)
    plain, angular = (damage.folder_of(chroma.path, name) for name in ("plain", "angular"))
    shutil.rmtree(plain)
    shutil.copytree(angular, plain)
    with opened(chroma.path) as found:
        expected = chroma.records("plain")
        records, uncertain = found.contents("plain"), found.contents("plain", Part.UNCERTAIN)
        contents = records | uncertain | found.contents("plain", Part.WITHOUT_VECTORS)
        assert contents.keys() == expected.keys()
        assert all(record[1:] == expected[identifier][1:] for identifier, record in contents.items())
        assert all(record[0] == expected[identifier][0] for identifier, record in records.items())
        # Until 0.5 Chroma removes nothing from the queue.
        assert records.keys() == expected.keys() if version == "0.4.24" else "record-065" in records


def test_label_map_of_another_process(copy_of: Callable[[str], ChromaCopy]) -> None:
    chroma = copy_of("1.5.9")
    plain, angular = (damage.folder_of(chroma.path, name) for name in ("plain", "angular"))
    shutil.copy(angular / "index_metadata.pickle", plain)
    with opened(chroma.path) as found:
        inventory = found.inventory("plain")
        assert "has 41 elements, header.bin 63: several processes may have written" in str(inventory.damage)
        assert inventory.parts[Part.UNCERTAIN] > 30


def test_a_label_that_is_there_twice(copy_of: Callable[[str], ChromaCopy]) -> None:
    """By one damaged byte: only the records with these labels are uncertain, and nothing is lost."""
    chroma = copy_of("1.5.9")
    file = damage.folder_of(chroma.path, "angular") / "data_level0.bin"
    content = bytearray(file.read_bytes())
    labels = [content[end - 8] for end in range(damage.ELEMENT, 41 * damage.ELEMENT + 1, damage.ELEMENT)]
    content[damage.ELEMENT - 8] = labels[1]
    file.write_bytes(content)
    with opened(chroma.path) as found:
        parts = found.inventory("angular").parts
        assert parts == {Part.RECORDS: 39, Part.UNCERTAIN: 1, Part.WITHOUT_VECTORS: 1, Part.LEFTOVERS: 1}


@pytest.mark.parametrize("name", [b"record-011", b"record-01P"])
def test_a_damaged_id_makes_no_other_record_uncertain(name: bytes, copy_of: Callable[[str], ChromaCopy]) -> None:
    """In the label map, where it is another known one or none."""
    chroma = copy_of("0.6.3")
    file = damage.folder_of(chroma.path, "plain") / "index_metadata.pickle"
    content = file.read_bytes()
    assert content.count(b"record-010") == 1
    file.write_bytes(content.replace(b"record-010", name))
    with opened(chroma.path) as found:
        inventory = found.inventory("plain")
        assert inventory.parts[Part.UNCERTAIN] == 0
        assert found.contents("plain", Part.WITHOUT_VECTORS).keys() == {"record-010"}
        expected = chroma.records("plain")
        wrong = {key for key, record in found.contents("plain").items() if record != expected[key]}
        assert wrong <= {"record-011"}
