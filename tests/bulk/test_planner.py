"""Which column has which role, and how a file is split."""

from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.bulk.formats.column_mapping import map_columns
from afterglow.bulk.formats.npy import companion_of
from afterglow.bulk.planner import make_plan
from afterglow.bulk.sidecar import GivenOptions, Sidecar
from afterglow.bulk.sources import file_source
from afterglow.bulk.types import FileRange, ImportRejected, Plan
from tests.bulk.files import TARGET, TINY, import_fixture


def test_roles_by_convention_and_by_sidecar() -> None:
    names = ["id", "vector", "text", "link", "size"]
    columns = map_columns(names, Sidecar({"uri": "link"}), name="a", every=True)
    assert (columns.id, columns.embedding, columns.document, columns.uri) == ("id", "vector", "text", "link")
    assert (columns.record, columns.others) == (None, ("size",))
    columns = map_columns([*names, "metadata"], Sidecar(), name="a", every=True)
    assert (columns.record, columns.others) == ("metadata", ("link", "size", "metadata"))


@pytest.mark.parametrize(
    "sidecar", [Sidecar({"id": "key"}), Sidecar(metadata=("missing",)), Sidecar(metadata=("#bad",))]
)
def test_columns_that_cannot_be_mapped(sidecar: Sidecar) -> None:
    with pytest.raises(ImportRejected):
        map_columns(["id", "embedding", "#bad"], sidecar, name="a", every=True)


def _plan(path: Path, range_bytes: int) -> Plan:
    source = file_source(path)
    assert source is not None
    with import_fixture(replace(TINY, import_range_bytes=range_bytes)) as at:
        settings, system = at.context.settings, at.context.system
        return make_plan(source, TARGET, GivenOptions(), at.context.sink, settings=settings, system=system)


def test_ranges_end_at_line_breaks(tmp_path: Path) -> None:
    line = b'{"embedding": [1, 2]}\n'
    (tmp_path / "a.jsonl").write_bytes(5 * line)
    plan = _plan(tmp_path / "a.jsonl", 30)
    assert plan.dimension == 2
    assert plan.ranges[0].start == 0
    assert plan.ranges[-1].end == 5 * len(line)
    for previous, following in zip(plan.ranges, plan.ranges[1:], strict=False):
        assert previous.end == following.start == (following.line - 1) * len(line)
    assert _plan(tmp_path / "a.jsonl", 1_000).ranges == (FileRange(0, 5 * len(line), 1),)


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", b"{}"), ("a.jsonl", b"[]\n"), ("a.jsonl", b'{"id": "x"}\n'), ("a.csv", b"")]
)
def test_files_without_a_plan(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImportRejected):
        _plan(tmp_path / name, 1_000)


def test_the_companion_of_a_matrix(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"")
    matrix = file_source(tmp_path / "a.npy")
    assert matrix is not None
    assert companion_of(matrix) is None
    (tmp_path / "a.ndjson.gz").write_bytes(b"")
    companion = companion_of(matrix)
    assert companion is not None
    assert companion.name == "a.ndjson.gz"
