"""Reads a text file as lines, decompressed, in bounded memory whatever the file contains or expands to.

A text in another encoding is converted to UTF-8 first, and offsets count the bytes of that; one with the byte order
mark of UTF-16 is recognised. Memory holds one chunk of the file, one chunk of its expansion, and one line. A compressed
file may expand to `import_max_decompression_ratio` times its size, and to 64 MiB in any case: a decompression bomb is
rejected there.
"""

import codecs
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from afterglow.bulk.sources import CHUNK_BYTES, Source
from afterglow.bulk.types import Compression, ImportRejected
from afterglow.settings import Settings

_OUTPUT_BYTES = 4 * 1024 * 1024
_FREE_EXPANSION = 64 * 1024 * 1024
"""Bytes that any file may expand to."""
_SKIPPED = 1024 * 1024 * 1024
"""Bytes of one line that are skipped to find its end."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Line(NamedTuple):
    """A line without its line break; `start` and `end` are offsets in the text, `text` is None if it is too long."""

    start: int
    end: int
    text: bytes | None


def lines(
    source: Source, compression: Compression, start: int, end: int, settings: Settings, *, encoding: str = ""
) -> Iterator[Line]:
    """The lines that begin at or after offset `start` of the text, before `end` (-1: all). Raises ImportRejected."""
    if encoding:
        chunks = _skip(_to_utf8(read_text(source, compression, settings), encoding, source.name), start)
    else:
        is_plain = compression is Compression.NONE
        chunks = _skip(read_text(source, compression, settings, start, end), 0 if is_plain else start)
    rest, position, limit = b"", start, settings.import_max_line_bytes
    skipping = 0
    for chunk in chunks:
        begin = 0
        # Line by line: splitting the chunk at once would copy it twice, and its lines would not stay in the cache.
        while (line_break := chunk.find(b"\n", begin)) >= 0:
            text = rest + chunk[begin:line_break]
            rest, begin = b"", line_break + 1
            end_position = position + skipping + len(text) + 1
            is_long = skipping or len(text) > limit
            yield Line(position, end_position, None if is_long else text)
            position, skipping = end_position, 0
        rest += chunk[begin:]
        if skipping or len(rest) > limit:
            skipping += len(rest)
            rest = b""
            if skipping > _SKIPPED:
                raise ImportRejected(f"{source.name} has a line of over {skipping} bytes, from byte {position} on")
    if rest or skipping:
        yield Line(position, position + skipping + len(rest), None if skipping else rest)


def encoding_of(source: Source, compression: Compression, settings: Settings, given: str | None) -> str:
    """The encoding of a text file, empty for UTF-8: the given one, or UTF-16 by its byte order mark.

    Raises ImportRejected for an unknown one.
    """
    if given is not None:
        try:
            name = codecs.lookup(given).name
        except LookupError:
            raise ImportRejected(f"{source.name}: {given!r} is not an encoding; try utf-8, utf-16 or latin-1") from None
        return "" if name in ("utf-8", "ascii") else "utf-8-sig" if name == "utf-8-sig" else name
    first = next(read_text(source, compression, settings), b"")[:2]
    return "utf-16" if first in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ""


def _to_utf8(chunks: Iterator[bytes], encoding: str, name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode(errors="surrogatepass")
        yield decoder.decode(b"", final=True).encode(errors="surrogatepass")
    except UnicodeError as error:
        raise ImportRejected(f"{name} is not {encoding}: {error}") from None


def read_text(
    source: Source, compression: Compression, settings: Settings, start: int = 0, end: int = -1
) -> Iterator[bytes]:
    """The text in chunks; `start` and `end` apply only to an uncompressed file. Raises ImportRejected."""
    if compression is Compression.NONE:
        return read_raw(source, start, source.size if end < 0 else end)
    return _decompress(source, compression, settings)


def read_raw(source: Source, start: int, end: int, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of a file from `start` to `end`, in chunks of at most `chunk_bytes`. Raises ImportRejected."""
    while start < end:
        chunk = source.read(start, min(chunk_bytes, end - start))
        if not chunk:
            raise ImportRejected(f"{source.name} became shorter while it was read")
        yield chunk
        start += len(chunk)


def _skip(chunks: Iterator[bytes], start: int) -> Iterator[bytes]:
    """The chunks without their first `start` bytes."""
    for chunk in chunks:
        if start < len(chunk):
            yield chunk[start:]
        start = max(start - len(chunk), 0)


def _decompress(source: Source, compression: Compression, settings: Settings) -> Iterator[bytes]:
    limit = max(_FREE_EXPANSION, settings.import_max_decompression_ratio * source.size)
    expanded, decompressor = 0, None
    for chunk in read_raw(source, 0, source.size):
        data = chunk
        while True:
            if decompressor is None or decompressor.eof:
                # A file may be a concatenation of several compressed ones.
                if not data:
                    break
                decompressor = _decompressor(compression)
            try:
                out = decompressor.decompress(data, _OUTPUT_BYTES)
            except (zlib.error, EOFError, _zstd_error()) as error:
                raise ImportRejected(f"{source.name} is not a valid {compression} file: {error}") from None
            expanded += len(out)
            if expanded > limit:
                raise ImportRejected(
                    f"{source.name} has {source.size} bytes and expands to more than {limit}: "
                    f"AFTERGLOW_IMPORT_MAX_DECOMPRESSION_RATIO is {settings.import_max_decompression_ratio}"
                )
            if out:
                yield out
            data = decompressor.unused_data if decompressor.eof else b""
            if not decompressor.eof and decompressor.needs_input:
                break
    if decompressor is not None and not decompressor.eof:
        raise ImportRejected(f"{source.name} is truncated: its {compression} data is incomplete")


class _Gzip:
    """zlib's decompressor with the interface of zstd's."""

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
    # A frame may request a window of gigabytes.
    decompressor: _Decompressor = _zstd().ZstdDecompressor(options={_zstd().DecompressionParameter.window_log_max: 27})
    return decompressor


def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ModuleNotFoundError:
        try:
            from backports import zstd
        except ModuleNotFoundError:
            raise ImportRejected(
                "backports.zstd is not installed, required for zstd: pip install 'afterglow-db[imports]'"
            ) from None
    return zstd


def _zstd_error() -> type[Exception]:
    try:
        error: type[Exception] = _zstd().ZstdError
    except ImportRejected:
        return zlib.error
    return error
