"""Handles the messages of the importer's queue.

* S3's own, after an object was put: **plan** its import, and send a message for each range. *Killed meanwhile: the same
  message is delivered again and finds the same plan; ranges that are done are not sent again.* An embedding file
  (`.npy`) stands for the file with the other columns alongside it, whichever came first. Objects below
  `imports/.status/` and objects that are no importable files are ignored.
* Ours, with an import and the number of a range: **import** the range, as far as time allows. The rest of it becomes
  another message. The worker that finds all ranges done finishes the import.

A message that fails at its last delivery fails its import, so that there is a report; it then becomes a dead letter,
which raises an alarm.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

import orjson

from afterglow.bulk import planner, range_import
from afterglow.bulk.formats.detect import NPY, is_auxiliary
from afterglow.bulk.formats.npy import companion_of
from afterglow.bulk.import_layout import ROOT
from afterglow.bulk.range_import import ImportContext, Outcome, ShouldContinue
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sources import Source, object_source
from afterglow.bulk.types import ImportRejected, ImportReport, Plan, Target
from afterglow.errors import InvalidArgument, NotFound
from afterglow.storage.ports import Objects

_log = logging.getLogger(__name__)

PREFIX = "imports/"
_PUT = "ObjectCreated:"
_FOLDERS = 4

Send = Callable[[list[str]], None]
"""Sends messages to the importer's queue."""


@dataclass(frozen=True, slots=True)
class MessageResult:
    """The result of a message."""

    task: str
    file: str = ""
    rows: int = 0
    rejected: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class Importer:
    """Handles messages about the files in `objects`."""

    context: ImportContext
    objects: Objects
    send: Send

    def handle(self, body: str, goes_on: ShouldContinue) -> list[MessageResult]:
        """Handle a message. Raises InvalidArgument, Unavailable, Busy, StorageFull: it must be delivered again."""
        message = _parse(body)
        if "import" in message:
            return [self._import_range(message, goes_on)]
        return [self._plan_file(key) for key in _keys(message)]

    def fail(self, body: str) -> None:
        """Fail the import of a message that will not be delivered again."""
        message = _parse(body)
        reason = "an invocation failed each time it was tried: see the importer's log"
        if "import" in message:
            plan = self._plan(message)
            if plan is not None:
                self.context.store.fail(plan, reason)
                self.context.store.finish(plan)
            return
        for key in _keys(message):
            file = self._file(key)
            if file is not None:
                self.context.store.reject(*file, reason)

    # a file that was put

    def _plan_file(self, key: str) -> MessageResult:
        file = self._file(key)
        if file is None:
            return MessageResult("nothing", key)
        source, target = file
        try:
            plan = planner.make_plan(
                source,
                target,
                GivenOptions(),
                self.context.sink,
                settings=self.context.settings,
                system=self.context.system,
            )
        except (ImportRejected, InvalidArgument, NotFound) as error:
            return _result("plan", self.context.store.reject(source, target, error.message))
        store = self.context.store
        done = store.finished(target.tenant, target.database, plan.id)
        if done is not None:
            return _result("plan", done)
        plan = store.begin(plan)
        open_ranges = [progress.number for progress in store.progress(plan) if not progress.done]
        self.send([_body(plan, number) for number in open_ranges])
        return MessageResult("plan", source.name, state="running")

    def _file(self, key: str) -> tuple[Source, Target] | None:
        """The file of a key, and the collection that its prefix names; None if the key is not of an importable file."""
        parts = key.removeprefix(PREFIX).split("/")
        if not key.startswith(PREFIX) or key.startswith(ROOT) or len(parts) < _FOLDERS:
            return None
        target = Target(*map(unquote, parts[:3]))
        root = PREFIX + "".join(f"{folder}/" for folder in parts[:3])
        source: Source | None = object_source(self.objects, self.context.system, key, root)
        if source is not None and key.endswith(NPY):
            source = companion_of(source)
        if source is None or is_auxiliary(source.name):
            return None
        return source, target

    # a range

    def _import_range(self, message: dict[str, Any], goes_on: ShouldContinue) -> MessageResult:
        plan = self._plan(message)
        if plan is None:
            return MessageResult("nothing", str(message["import"]))
        number, store = int(message["range"]), self.context.store
        root = PREFIX + "/".join(plan.key.removeprefix(PREFIX).split("/")[:3]) + "/"
        source = object_source(self.objects, self.context.system, plan.key, root)
        before = store.range_progress(plan, number)
        outcome = Outcome.DONE
        if source is None:
            store.fail(plan, f"{plan.name} is gone")
        else:
            outcome = range_import.import_range(self.context, plan, source, number, should_continue=goes_on)
        if outcome is Outcome.UNFINISHED:
            self.send([_body(plan, number)])
        after = store.progress(plan)
        state = "running"
        if store.failure(plan) is not None or all(progress.done for progress in after):
            state = store.finish(plan).state
        now = next((progress for progress in after if progress.number == number), None)
        if before is None or now is None:
            return MessageResult("range", plan.name, state=state)
        return MessageResult("range", plan.name, now.rows - before.rows, now.rejected - before.rejected, state)

    def _plan(self, message: dict[str, Any]) -> Plan | None:
        target = Target(str(message["tenant"]), str(message["database"]), "")
        return self.context.store.plan(target, str(message["import"]))


def _result(task: str, report: ImportReport) -> MessageResult:
    if report.state == "failed":
        _log.warning("import of %s failed: %s", report.file, report.reason)
    return MessageResult(task, report.file, report.rows, report.rejected, report.state)


def _body(plan: Plan, number: int) -> str:
    message = {"import": plan.id, "tenant": plan.target.tenant, "database": plan.target.database, "range": number}
    return orjson.dumps(message).decode()


def _parse(body: str) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"not a message of this queue: {body[:200]!r}: {error}") from error
    is_ours = type(message) is dict and {"import", "tenant", "database", "range"} <= message.keys()
    is_of_s3 = type(message) is dict and ("Records" in message or message.get("Event") == "s3:TestEvent")
    if not is_ours and not is_of_s3:
        raise InvalidArgument(f"not a message of this queue: {body[:200]!r}")
    return dict(message)


def _keys(message: dict[str, Any]) -> list[str]:
    """The keys of the objects put, from S3's message; its test message, sent when the queue is configured, has none."""
    records = message.get("Records", [])
    return [
        unquote_plus(record["s3"]["object"]["key"])
        for record in records
        if record["eventName"].removeprefix("s3:").startswith(_PUT)
    ]
