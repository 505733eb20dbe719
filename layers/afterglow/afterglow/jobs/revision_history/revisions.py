"""Revisions: what the function `revision_history` writes for each change of a record, as Chroma's has it.

The output has for a record `x` the revisions `x::v1`, `x::v2`, …, each with its document and its metadata then, and the
**tracker** `x::v0` with the last of them. A revision's number follows the version that the application keeps under a
metadata key of the record (`version_key`, by default `version`): the same distance from one revision to the next. A
version lower than the last one starts a new generation, right after the last revision; a version that has a revision
already gets no other. A record without such a version gets the next number, and so does the end of a record, its
tombstone, in place of the version that would have followed.

The tracker also has our own `position`: the entry of the log up to which it holds. So no change counts twice.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from afterglow.jobs.function_outputs import OutputRecord

_TRACKER_VERSION = 0
_MAX_VERSION = 2**63 - 1
_DEFAULT_VERSION_KEY = "version"


@dataclass(frozen=True, slots=True)
class Change:
    """A record after entry `seq` of the log, at `time` (Unix seconds); before it, if the entry has deleted it."""

    seq: int
    time: int
    record_id: str
    document: str | None
    metadata: Mapping[str, Any]
    is_delete: bool = False


@dataclass(frozen=True, slots=True)
class Tracker:
    """The last revision of a record, and the first of its generation with the application's version of that."""

    max_version: int = 0
    generation_start_pos: int = 0
    generation_start_source_ver: int = 0
    position: int = 0

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> "Tracker":
        """The tracker that a record `…::v0` holds; a field that it lacks is 0."""
        values = {name: metadata.get(name) for name in cls.__dataclass_fields__}
        return cls(**{name: value for name, value in values.items() if isinstance(value, int)})

    def advance(self, source_version: int | None) -> "tuple[Tracker, int | None]":
        """The tracker after a change, and the number of its revision; None if the version has one already."""
        if source_version is None:
            return self._next()
        tracker = self._start_generation(source_version) if self._is_new_generation(source_version) else self
        version = tracker.generation_start_pos + source_version - tracker.generation_start_source_ver
        if version > _MAX_VERSION:
            return self._next()
        if version <= tracker.max_version:
            return tracker, None
        return replace(tracker, max_version=version), version

    def _next(self) -> "tuple[Tracker, int]":
        return replace(self, max_version=self.max_version + 1), self.max_version + 1

    def _is_new_generation(self, source_version: int) -> bool:
        if self.max_version == 0:
            return True
        if not self.generation_start_pos and not self.generation_start_source_ver:
            return False
        return source_version < self.generation_start_source_ver + self.max_version - self.generation_start_pos

    def _start_generation(self, source_version: int) -> "Tracker":
        return replace(self, generation_start_pos=self.max_version + 1, generation_start_source_ver=source_version)


def revision_id(record_id: str, version: int) -> str:
    """The id of a revision in the output."""
    return f"{record_id}::v{version}"


def tracker_id(record_id: str) -> str:
    """The id of the tracker of a record in the output."""
    return revision_id(record_id, _TRACKER_VERSION)


def version_key(params: Any) -> str:
    """The metadata key of the application's version, by the parameters of the function."""
    named = params.get("version_key") if isinstance(params, Mapping) else None
    return named if isinstance(named, str) else _DEFAULT_VERSION_KEY


def revise(tracker: Tracker, change: Change, key: str) -> tuple[Tracker, dict[str, OutputRecord]]:
    """The tracker after a change that it does not hold yet, and the records to write: the tracker, and the revision."""
    source_version = _source_version(change.metadata, key)
    follows = source_version is not None and change.is_delete
    tracker, version = tracker.advance((source_version or 0) + 1 if follows else source_version)
    tracker = replace(tracker, position=change.seq)
    written = {tracker_id(change.record_id): OutputRecord(None, _tracker_metadata(tracker, change.record_id))}
    if version is not None:
        metadata: dict[str, Any] = {
            "original_id": change.record_id,
            "version": version,
            "archived_at": change.time,
            "is_delete": change.is_delete,
        }
        if source_version is not None:
            metadata["source_version"] = source_version
        if not change.is_delete:
            metadata = {**dict(_without_sparse(change.metadata)), **metadata}
        document = None if change.is_delete else change.document
        written[revision_id(change.record_id, version)] = OutputRecord(document, metadata)
    return tracker, written


def _source_version(metadata: Mapping[str, Any], key: str) -> int | None:
    version = metadata.get(key)
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def _tracker_metadata(tracker: Tracker, record_id: str) -> dict[str, Any]:
    fields = {name: getattr(tracker, name) for name in Tracker.__dataclass_fields__}
    return {**fields, "original_id": record_id}


def _without_sparse(metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in metadata.items() if not isinstance(value, Mapping))
