"""What a message of the importer's queue asks for: to look at an object that was put, or to work on a range.

* S3's own, that an object was put: **plan** it, and send a message for each range. *Killed meanwhile: the same message
  again, which finds the same plan; ranges that are done are not sent again.* An embedding file (`.npy`) means the file
  of the rest beside it, whichever came first. What lies below `imports/.status/`, or is no file to import, is let be.
* Ours, with an import and the number of a range: **work** on it, as far as time allows. What is left of it is a message
  again. Who finds that nothing is left of any range finishes the import.

A message that is delivered for the last time and fails stops its import, so that there is a receipt; and is then one of
the dead letters, which ring.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus

import orjson

from afterglow.bulk import planner, range_import
from afterglow.bulk.formats.detect import NPY, is_auxiliary
from afterglow.bulk.import_file import rejected_report
from afterglow.bulk.import_store import ROOT
from afterglow.bulk.range_import import ImportContext, Outcome, ShouldContinue
from afterglow.bulk.sources import Source, object_source
from afterglow.bulk.types import ImportRejected, ImportReport, Plan, Target
from afterglow.errors import InvalidArgument, NotFound
from afterglow.storage.ports import Objects

_log = logging.getLogger(__name__)

PREFIX = "imports/"
_PUT = "ObjectCreated:"
_FOLDERS = 4

Send = Callable[[list[str]], None]
"""Puts messages on the importer's queue."""


@dataclass(frozen=True, slots=True)
class MessageResult:
    """What was done with a message."""

    task: str
    file: str = ""
    rows: int = 0
    rejected: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class Importer:
    """Works on messages about the files of `objects`."""

    context: ImportContext
    objects: Objects
    send: Send

    def handle(self, body: str, goes_on: ShouldContinue) -> list[MessageResult]:
        """Do what a message asks for. Raises InvalidArgument, Unavailable, Busy, StorageFull: to be delivered again."""
        message = _parsed(body)
        if "import" in message:
            return [self._range(message, goes_on)]
        return [self._look_at(key) for key in _keys(message)]

    def fail(self, body: str) -> None:
        """Stop what a message asks for, since nobody will be asked again."""
        message = _parsed(body)
        reason = "an invocation failed each time it was tried: see the importer's log"
        if "import" in message:
            plan = self._plan(message)
            if plan is not None:
                self.context.store.fail(plan, reason)
                self.context.store.finish(plan)
            return
        for key in _keys(message):
            found = self._file(key)
            if found is not None:
                self.context.store.put_report(rejected_report(self.context, *found, reason))

    # a file that was put

    def _look_at(self, key: str) -> MessageResult:
        found = self._file(key)
        if found is None:
            return MessageResult("nothing", key)
        source, target = found
        try:
            plan = planner.make_plan(
                source, target, None, self.context.sink, settings=self.context.settings, system=self.context.system
            )
        except (ImportRejected, InvalidArgument, NotFound) as error:
            receipt = rejected_report(self.context, source, target, error.message)
            self.context.store.put_report(receipt)
            return _worked("plan", receipt)
        ledger = self.context.store
        done = ledger.finished(target.tenant, target.database, plan.id)
        if done is not None:
            return _worked("plan", done)
        plan = ledger.begin(plan)
        left = [each.number for each in ledger.progress(plan) if not each.done]
        self.send([_body(plan, number) for number in left])
        return MessageResult("plan", source.name, state="running")

    def _file(self, key: str) -> tuple[Source, Target] | None:
        """The file that a key is about, and the collection that its place says; None where it is about none."""
        parts = key.removeprefix(PREFIX).split("/")
        if not key.startswith(PREFIX) or key.startswith(ROOT) or len(parts) < _FOLDERS:
            return None
        target = Target(*map(unquote, parts[:3]))
        root = PREFIX + "".join(f"{each}/" for each in parts[:3])
        source: Source | None = object_source(self.objects, self.context.system, key, root)
        if source is not None and key.endswith(NPY):
            source = planner.companion_of(source)
        if source is None or is_auxiliary(source.name):
            return None
        return source, target

    # a range

    def _range(self, message: dict[str, Any], goes_on: ShouldContinue) -> MessageResult:
        plan = self._plan(message)
        if plan is None:
            return MessageResult("nothing", str(message["import"]))
        number, ledger = int(message["range"]), self.context.store
        root = PREFIX + "/".join(plan.key.removeprefix(PREFIX).split("/")[:3]) + "/"
        source = object_source(self.objects, self.context.system, plan.key, root)
        before = ledger.range_progress(plan, number)
        outcome = Outcome.DONE
        if source is None:
            ledger.fail(plan, f"{plan.name} is gone")
        else:
            outcome = range_import.import_range(self.context, plan, source, number, should_continue=goes_on)
        if outcome is Outcome.UNFINISHED:
            self.send([_body(plan, number)])
        after = ledger.progress(plan)
        state = "running"
        if ledger.failure(plan) is not None or all(each.done for each in after):
            state = ledger.finish(plan).state
        now = next((each for each in after if each.number == number), None)
        if before is None or now is None:
            return MessageResult("range", plan.name, state=state)
        return MessageResult("range", plan.name, now.rows - before.rows, now.rejected - before.rejected, state)

    def _plan(self, message: dict[str, Any]) -> Plan | None:
        target = Target(str(message["tenant"]), str(message["database"]), "")
        return self.context.store.plan(target, str(message["import"]))


def _worked(task: str, receipt: ImportReport) -> MessageResult:
    if receipt.state == "failed":
        _log.warning("import of %s failed: %s", receipt.file, receipt.reason)
    return MessageResult(task, receipt.file, receipt.rows, receipt.rejected, receipt.state)


def _body(plan: Plan, number: int) -> str:
    told = {"import": plan.id, "tenant": plan.target.tenant, "database": plan.target.database, "range": number}
    return orjson.dumps(told).decode()


def _parsed(body: str) -> dict[str, Any]:
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
    """The keys of the objects that S3 says were put; its test message, as a queue is made known to it, has none."""
    records = message.get("Records", [])
    return [
        unquote_plus(each["s3"]["object"]["key"])
        for each in records
        if each["eventName"].removeprefix("s3:").startswith(_PUT)
    ]
