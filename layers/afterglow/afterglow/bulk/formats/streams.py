"""The bytes of a file of text, decompressed, as lines; within bounds, whatever the file says or expands to.

Nothing is held but a piece of the file, what it expands to (also by pieces), and one line. A compressed file may expand
to `import_max_decompression_ratio` times its size, from a size on at which that matters: a bomb is refused after that much work.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from afterglow.bulk.sources import CHUNK_BYTES, Source
from afterglow.bulk.types import Compression, ImportRejected
from afterglow.settings import Settings

_OUT = 4 * 1024 * 1024
_FREE_EXPANSION = 64 * 1024 * 1024
"""What any file may expand to."""
_SKIPPED = 1024 * 1024 * 1024
"""Bytes of one line that are read past to find its end."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end; `start` and `end` are offsets in the text, `text` is None where it is too long."""

    start: int
    end: int
    text: bytes | None


def lines(source: Source, compression: Compression, start: int, end: int, settings: Settings) -> Iterator[Line]:
    """The lines that begin from offset `start` of the text on, up to `end` (-1: to the last). Raises Refused."""
    pieces = _skip(
        read_text(source, compression, settings, start, end), 0 if compression is Compression.NONE else start
    )
    rest, at, most = b"", start, settings.import_max_line_bytes
    skipping = 0
    for piece in pieces:
        found = (rest + piece).split(b"\n")
        rest = found.pop()
        for each in found:
            ends = at + skipping + len(each) + 1
            is_long = skipping or len(each) > most
            yield Line(at, ends, None if is_long else each)
            at, skipping = ends, 0
        if skipping or len(rest) > most:
            skipping += len(rest)
            rest = b""
            if skipping > _SKIPPED:
                raise ImportRejected(f"{source.name} has a line of over {skipping} bytes, from byte {at} on")
    if rest or skipping:
        yield Line(at, at + skipping + len(rest), None if skipping else rest)


def read_text(
    source: Source, compression: Compression, settings: Settings, start: int = 0, end: int = -1
) -> Iterator[bytes]:
    """The text by pieces; `start` and `end` count where the file is not compressed. Raises Refused."""
    if compression is Compression.NONE:
        return read_raw(source, start, source.size if end < 0 else end)
    return _decompress(source, compression, settings)


def read_raw(source: Source, start: int, end: int, most: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of a file from `start` to `end`, at most so many at a time. Raises Refused."""
    while start < end:
        piece = source.read(start, min(most, end - start))
        if not piece:
            raise ImportRejected(f"{source.name} became shorter while it was read")
        yield piece
        start += len(piece)


def _skip(pieces: Iterator[bytes], start: int) -> Iterator[bytes]:
    """Without the first `start` bytes."""
    for piece in pieces:
        if start < len(piece):
            yield piece[start:]
        start = max(start - len(piece), 0)


def _decompress(source: Source, compression: Compression, settings: Settings) -> Iterator[bytes]:
    most = max(_FREE_EXPANSION, settings.import_max_decompression_ratio * source.size)
    expanded, decompressor = 0, None
    for piece in read_raw(source, 0, source.size):
        data = piece
        while True:
            if decompressor is None or decompressor.eof:
                # A file may be several compressed ones after another.
                if not data:
                    break
                decompressor = _decompressor(compression)
            try:
                out = decompressor.decompress(data, _OUT)
            except (zlib.error, EOFError, _zstd_error()) as error:
                raise ImportRejected(f"{source.name} is no sound {compression} file: {error}") from None
            expanded += len(out)
            if expanded > most:
                raise ImportRejected(
                    f"{source.name} has {source.size} bytes and expands to more than {most}: "
                    f"AFTERGLOW_IMPORT_MAX_DECOMPRESSION_RATIO is {settings.import_max_decompression_ratio}"
                )
            if out:
                yield out
            data = decompressor.unused_data if decompressor.eof else b""
            if not decompressor.eof and decompressor.needs_input:
                break
    if decompressor is not None and not decompressor.eof:
        raise ImportRejected(f"{source.name} is truncated: its {compression} data does not end")


class _Gzip:
    """zlib's decompressor with the face that zstd's has."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _decompressor(compression: Compression) -> _Decompressor:
    if compression is Compression.GZIP:
        return _Gzip()
    # A frame may ask for a window of gigabytes.
    made: _Decompressor = _zstd().ZstdDecompressor(options={_zstd().DecompressionParameter.window_log_max: 27})
    return made


def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ModuleNotFoundError:
        try:
            from backports import zstd
        except ModuleNotFoundError:
            raise ImportRejected(
                "backports.zstd is not installed, which zstd needs: pip install 'afterglow-db[imports]'"
            ) from None
    return zstd


def _zstd_error() -> type[Exception]:
    try:
        found: type[Exception] = _zstd().ZstdError
    except ImportRejected:
        return zlib.error
    return found
