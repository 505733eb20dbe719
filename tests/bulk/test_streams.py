"""Lines of a text file, across chunks, compressed or not, and within bounds."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from afterglow.bulk.formats import streams
from afterglow.bulk.sources import FileSource, file_source
from afterglow.bulk.types import Compression, ImportRejected
from afterglow.settings import Settings

SETTINGS = replace(Settings(), import_max_line_bytes=5)


def _source(folder: Path, content: bytes) -> FileSource:
    (folder / "a").write_bytes(content)
    source = file_source(folder / "a")
    assert source is not None
    return source


@pytest.mark.parametrize("compression", [Compression.NONE, Compression.GZIP])
def test_lines_with_their_offsets(compression: Compression, tmp_path: Path) -> None:
    text = b"one\n\ntoo long\nend"
    source = _source(tmp_path, gzip.compress(text) if compression is Compression.GZIP else text)
    lines = list(streams.lines(source, compression, 0, -1, SETTINGS))
    assert [(line.start, line.end, line.text) for line in lines] == [
        (0, 4, b"one"),
        (4, 5, b""),
        (5, 14, None),
        (14, 17, b"end"),
    ]
    assert list(streams.lines(source, compression, 5, -1, SETTINGS)) == lines[2:]


class ShortReads(FileSource):
    """A file that returns at most three bytes at a time."""

    def read(self, start: int, length: int) -> bytes:
        """Some bytes."""
        return super().read(start, min(length, 3))


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_lines_do_not_depend_on_the_chunks_that_are_read(end: bytes, tmp_path: Path) -> None:
    text = b"\n\nab\nabc\nabcd\nabcde\nabcdef\n\nmuch too long\n\nabcde" + end
    source = _source(tmp_path, text)
    short = ShortReads(source.path, source.name, source.size, source.modified)
    lines = list(streams.lines(source, Compression.NONE, 0, -1, SETTINGS))
    assert list(streams.lines(short, Compression.NONE, 0, -1, SETTINGS)) == lines
    assert [line.text for line in lines] == [
        text if len(text) <= 5 else None for text in text.removesuffix(b"\n").split(b"\n")
    ]
    assert [line.end for line in lines[:-1]] == [line.start for line in lines[1:]]


def test_a_truncated_or_damaged_file(tmp_path: Path) -> None:
    whole = gzip.compress(bytes(range(256)) * 10)
    with pytest.raises(ImportRejected, match="truncated"):
        list(streams.read_text(_source(tmp_path, whole[:-12]), Compression.GZIP, SETTINGS))
    with pytest.raises(ImportRejected, match="gzip"):
        list(streams.read_text(_source(tmp_path, b"no gzip"), Compression.GZIP, SETTINGS))
