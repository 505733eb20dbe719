"""The files of a watched directory: which there are, and where they go when they are done with."""

from dataclasses import dataclass
from pathlib import Path

from afterglow.imports.model import Receipt, Target
from afterglow.imports.names import NPY, SUFFIX, is_auxiliary
from afterglow.imports.sources import FileSource, file_source

DONE, FAILED = ".done", ".failed"
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A file, and the collection that its place says."""

    source: FileSource
    target: Target


def found_in(folder: Path) -> list[Found]:
    """The files of a watched directory, those that only say something of another left out."""
    found = []
    for path in sorted(folder.glob("*/*/*/**/*")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts) or is_auxiliary(path.name) or not path.is_file():
            continue
        source = file_source(path, "/".join(parts[_DEPTH:]))
        if source is not None:
            found.append(Found(source, Target(*parts[:_DEPTH])))
    return found


def move_aside(folder: Path, found: Found, receipt: Receipt) -> None:
    """Move a file that was imported, or could not be, and what lies beside it for it."""
    path = found.source.path
    into = folder / (DONE if receipt.state == "done" else FAILED) / path.relative_to(folder).parent
    into.mkdir(parents=True, exist_ok=True)
    stem = path.name.partition(".")[0]
    for each in (path, path.with_name(path.name + SUFFIX), path.with_name(stem + NPY)):
        target = into / each.name
        if target.exists():
            target = into / f"{receipt.id[:8]}-{each.name}"
        if each.exists():
            each.replace(target)
    if receipt.state != "done":
        (into / f"{path.name}.receipt.json").write_bytes(receipt.encoded())
