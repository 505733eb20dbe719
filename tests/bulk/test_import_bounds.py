"""Whatever a file claims or expands to, the import takes little memory and time, and says why it went no further."""

import gzip
import os
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from backports import zstd

from tests.bulk import files
from tests.bulk.files import TINY, import_fixture, sample

MEGABYTE = 1024 * 1024
BOUNDED = replace(TINY, import_max_decompression_ratio=20)


def bomb(of: str, megabytes: int) -> bytes:
    """One line without an end."""
    if of == "gzip":
        maker = zlib.compressobj(9, wbits=31)
        return b"".join([maker.compress(bytes(MEGABYTE)) for _ in range(megabytes)] + [maker.flush()])
    made = zstd.ZstdCompressor()
    return b"".join([made.compress(bytes(MEGABYTE)) for _ in range(megabytes)] + [made.flush()])


@pytest.mark.slow
@pytest.mark.parametrize(("of", "ending"), [("gzip", "gz"), ("zstd", "zst")])
def test_a_bomb_is_refused_early(of: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"bomb.jsonl.{ending}"
    path.write_bytes(bomb(of, 200))
    assert path.stat().st_size < MEGABYTE
    with import_fixture(BOUNDED) as at:
        report = at.run(path)
        assert report.state == "failed"
        assert "expands to more than" in (report.reason or "")


@pytest.mark.slow
def test_a_bomb_after_good_lines(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(files.lines(sample(250))) + bomb("gzip", 200))
    with import_fixture(replace(BOUNDED, import_max_line_bytes=MEGABYTE)) as at:
        report = at.run(path)
        assert report.state == "failed"
        assert "AFTERGLOW_IMPORT_MAX_DECOMPRESSION_RATIO is 20" in (report.reason or "")


CHILD = """
import resource, sys
from pathlib import Path
from tests.bulk.test_import_bounds import BOUNDED
from tests.bulk.files import import_fixture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with import_fixture(BOUNDED) as at:
    report = at.run(Path(sys.argv[1]))
print(report.state, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def peak_of(path: Path) -> tuple[str, int]:
    """How an import in a process of its own ended, and the megabytes by which it grew."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    state, megabytes = done.stdout.split()
    return state, int(megabytes)


def parquet_bomb(folder: Path) -> Path:
    """Two gigabytes of text in a few kilobytes: one value of a megabyte, two thousand times."""
    path = folder / "bomb.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT range::VARCHAR AS id, repeat('x', 1000000) AS document, [1.0, 2.0]::FLOAT[] AS embedding "
            f"FROM range(2000)) TO '{path}' (COMPRESSION zstd)"
        )
    return path


@pytest.mark.slow
def test_the_memory_of_bombs(tmp_path: Path) -> None:
    (tmp_path / "bomb.jsonl.gz").write_bytes(bomb("gzip", 500))
    for path, most in ((tmp_path / "bomb.jsonl.gz", 200), (parquet_bomb(tmp_path), 1_500)):
        state, megabytes = peak_of(path)
        assert state == "failed", path.name
        assert megabytes < most, path.name


@pytest.mark.slow
def test_a_parquet_that_expands(tmp_path: Path) -> None:
    with import_fixture(replace(BOUNDED, import_memory_bytes=64 * MEGABYTE)) as at:
        report = at.run(parquet_bomb(tmp_path))
        assert report.state == "failed"
        assert "expands to more than" in (report.reason or "") or "takes more memory" in (report.reason or "")


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_a_truncated_parquet(share: float, tmp_path: Path) -> None:
    whole = files.write_pyarrow(sample(), tmp_path)
    path = tmp_path / "short.parquet"
    shutil.copy(whole, path)
    os.truncate(path, int(path.stat().st_size * share))
    with import_fixture() as at:
        report = at.run(path)
        assert report.state == "failed"
        assert "not a complete Parquet file" in (report.reason or "")


def test_a_parquet_with_a_hole(tmp_path: Path) -> None:
    path = files.write_pyarrow(sample(2_000, 64), tmp_path)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)
    with import_fixture(replace(TINY, import_range_bytes=MEGABYTE)) as at:
        report = at.run(path)
        assert report.state == "failed"
        assert "cannot be read" in (report.reason or "")


@pytest.mark.parametrize("write", [files.write_gzip, files.write_zstd])
@pytest.mark.parametrize("share", [0.3, 0.98])
def test_truncated_text(write: files.Writer, share: float, tmp_path: Path) -> None:
    path = write(sample(400), tmp_path)
    os.truncate(path, int(path.stat().st_size * share))
    with import_fixture() as at:
        report = at.run(path)
        assert report.state == "failed"
        assert "truncated" in (report.reason or "")


def test_a_truncated_matrix(tmp_path: Path) -> None:
    path = files.write_pair(sample(), tmp_path)
    os.truncate(tmp_path / "records.npy", 500)
    with import_fixture() as at:
        assert "is truncated" in (at.run(path).reason or "")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    import numpy as np

    path = files.write_pair(sample(), tmp_path)
    np.save(tmp_path / "records.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with import_fixture() as at:
        assert "not hold a matrix of numbers" in (at.run(path).reason or "")


def test_a_file_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    of = sample()
    path = files.write_jsonl(of, tmp_path)
    with import_fixture() as at:
        append = at.engine.write

        def replacing(*arguments: object, **named: object) -> object:
            path.write_bytes(files.lines(sample(50, seed=9)))
            return append(*arguments, **named)  # type: ignore[arg-type]

        at.engine.write = replacing  # type: ignore[method-assign,assignment]
        report = at.run(path)
        assert report.state == "failed"
        assert "replaced while it was imported" in (report.reason or "")
        at.engine.write = append  # type: ignore[method-assign]
        assert at.run(path).state == "done"
        assert at.contents().items() >= files.expected(sample(50, seed=9)).items()
