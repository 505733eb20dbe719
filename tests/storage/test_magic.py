"""Files of a newer release are refused as such, in every kind of binary file."""

from collections.abc import Callable
from typing import Any

import pytest

from afterglow.errors import Corrupt, UnsupportedFormat
from afterglow.log import archive, batch, payload
from afterglow.segment import array_file
from afterglow.storage import magic

DECODERS: dict[bytes, Callable[[bytes], Any]] = {
    batch.MAGIC: lambda content: batch.decode(content, "the file"),
    payload.MAGIC: lambda content: payload.decode(content, "the file"),
    archive.MAGIC: lambda content: archive.decode(content, "the file"),
    array_file.MAGIC: lambda content: array_file.parse(memoryview(content), "rows", "the file"),
}

kinds = pytest.mark.parametrize("number", DECODERS, ids=bytes.decode)


@kinds
def test_a_newer_format_is_named(number: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="the file has format 2, this release reads format 1; a newer release"):
        DECODERS[number](number[:-1] + b"2" + bytes(100))


@kinds
@pytest.mark.parametrize("content", [b"", b"AG", b"XYZ1" + bytes(100), b"AGFx" + bytes(100)])
def test_other_bytes_are_corrupt(number: bytes, content: bytes) -> None:
    with pytest.raises(Corrupt) as error:
        DECODERS[number](content)
    assert not isinstance(error.value, UnsupportedFormat)


def test_the_present_format_passes() -> None:
    magic.require(b"AGB1", batch.MAGIC, "the file", "a log batch")
