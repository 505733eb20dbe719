"""The parts of an Excel workbook: XML files in a zip archive, read piece by piece in bounded memory.

A hostile file is refused before it costs much: parts may expand to `import_max_decompression_ratio` times the file's
size (and to 64 MiB in any case) by the sizes in the archive's directory, beyond which nothing is read; only Deflate is
expanded; a document type, and so every entity, is refused where it is declared; one token of XML has at most 4 MiB.
"""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from posixpath import dirname, join, normpath
from typing import cast
from xml.parsers import expat  # the parser calls back as it reads, and builds no tree

from afterglow.bulk.sources import Source
from afterglow.bulk.types import ImportRejected
from afterglow.settings import Settings

_FREE_EXPANSION = 64 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_MAX_READ_BYTES = 4 * 1024 * 1024
_MAX_TOKEN_BYTES = 4 * 1024 * 1024
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CONVERT = "save it as .xlsx or .csv"

Attributes = dict[str, str]
OnStart = Callable[[str, Attributes], None]
OnEnd = Callable[[str], None]
OnText = Callable[[str], None]


class Parts:
    """The parts of a workbook, by names without regard to case. Raises ImportRejected if the file is none."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self.name = source.name
        if source.read(0, len(_OLE)) == _OLE:
            raise ImportRejected(
                f"{source.name} is encrypted, or an old workbook of Excel before 2007 (.xls): "
                f"{_CONVERT}, without a password"
            )
        try:
            self._archive = zipfile.ZipFile(cast("io.BytesIO", _SourceFile(source)))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError) as error:
            raise ImportRejected(f"{source.name} is no whole Excel workbook: {error}; {_CONVERT}") from None
        self._infos = {info.filename.lower().lstrip("/"): info for info in self._archive.infolist()}
        self._size, self._ratio = source.size, settings.import_max_decompression_ratio
        self._left = max(_FREE_EXPANSION, self._ratio * source.size)
        self._limit = self._left
        self._counted: set[str] = set()

    def __contains__(self, part: str) -> bool:
        return part.lower() in self._infos

    def parse(self, part: str, on_start: OnStart, on_end: OnEnd, on_text: OnText) -> Iterator[None]:
        """Parse a part; yields after each piece of it. Names of elements and attributes are without their namespace.

        Raises ImportRejected.
        """
        info = self._infos.get(part.lower())
        if info is None:
            raise ImportRejected(f"{self.name} is no Excel workbook: it has no part {part}; {_CONVERT}")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise ImportRejected(f"{self.name}: its part {part} is encrypted or compressed by other than Deflate")
        self._left -= 0 if info.filename in self._counted else info.file_size
        self._counted.add(info.filename)
        if self._left < 0:
            raise ImportRejected(
                f"{self.name} has {self._size} bytes and expands to more than {self._limit}: "
                f"AFTERGLOW_IMPORT_MAX_DECOMPRESSION_RATIO is {self._ratio}"
            )
        parser = self._parser(part, on_start, on_end, on_text)
        fed = 0
        try:
            with self._archive.open(info) as file:
                # Never more than the size in the directory; what differs from it fails by its checksum.
                while piece := file.read(_PIECE_BYTES):
                    parser.Parse(piece, False)
                    fed += len(piece)
                    if fed - max(parser.CurrentByteIndex, 0) > _MAX_TOKEN_BYTES:
                        raise ImportRejected(
                            f"{self.name}: part {part} has a tag of more than {_MAX_TOKEN_BYTES} bytes"
                        )
                    yield
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise ImportRejected(f"{self.name}: part {part} is not XML: {error}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise ImportRejected(f"{self.name} is damaged: part {part}: {error}") from None
        yield

    def _parser(self, part: str, on_start: OnStart, on_end: OnEnd, on_text: OnText) -> expat.XMLParserType:
        def start(name: str, attributes: Attributes) -> None:
            on_start(_local(name), {_local(key): value for key, value in attributes.items()} if attributes else {})

        def document_type(*declared: object) -> None:
            del declared
            raise ImportRejected(f"{self.name}: part {part} declares a document type, which no workbook has")

        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = document_type
        parser.StartElementHandler = start
        parser.EndElementHandler = lambda name: on_end(_local(name))
        parser.CharacterDataHandler = on_text
        return parser

    def related(self, part: str) -> dict[str, tuple[str, str]]:
        """By id, the type of each relation of a part ("" is the workbook's file), and the part it leads to."""
        found: dict[str, tuple[str, str]] = {}

        def start(name: str, attributes: Attributes) -> None:
            target = attributes.get("Target", "")
            if name == "Relationship" and attributes.get("TargetMode") != "External":
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes.get("Id", "")] = (kind, normpath(join("/", dirname(part), target)).lstrip("/"))

        folder, _, last = part.rpartition("/")
        relations = join(folder, "_rels", f"{last}.rels")
        for _ in self.parse(relations, start, ignore_end, ignore_text):
            pass
        return found


def ignore_end(name: str) -> None:
    """The callback without an effect, of an element's end."""
    del name


def ignore_text(text: str) -> None:
    """The callback without an effect, of text."""
    del text


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


class _SourceFile:
    """The file as `zipfile` reads it: a binary file that seeks."""

    def __init__(self, source: Source) -> None:
        self._source, self._position = source, 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if base + offset < 0:
            raise OSError("an offset before the file's start")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        rest = max(self._source.size - self._position, 0)
        size = rest if size < 0 else min(size, rest)
        if size > _MAX_READ_BYTES:
            raise OSError(f"its directory has more than {_MAX_READ_BYTES} bytes")
        data = self._source.read(self._position, size) if size else b""
        self._position += len(data)
        return data

    def close(self) -> None:
        """Nothing is open between two reads."""
