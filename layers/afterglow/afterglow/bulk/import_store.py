"""How far imports are: items that are the truth of it, and objects that tell the world.

Items, under `IMPORT#<id>`: `RANGE#<number>` for each range, moved on by version in one transaction with each batch;
`STOP` where the import goes no further, with the reason.

Objects, under `imports/.status/<tenant>/<database>/<id>/`::

    plan.json                    put once, before anything is done
    ranges/<number>.json         how far the range is; a copy of its item, put after it
    errors/<number>-<place>.jsonl    rows that were not taken, by where in the range their piece begins
    errors.jsonl                 all of them, put before the receipt
    report.json                 put once, at the end

Both go after `import_report_ttl_seconds`: items of the table expire, objects are removed by the next plan in their database.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote

import orjson

from afterglow.bulk import types
from afterglow.bulk.types import ImportReport, Plan, RangeConflict, Rejected
from afterglow.errors import NotFound
from afterglow.settings import System
from afterglow.storage.ports import ConditionFailed, Item, ObjectNotFound, Objects, Put, Table

ROOT = "imports/.status/"
_STOP = "STOP"
_RANGE = "RANGE#"
_PLAN, _REPORT, _ERRORS = "plan.json", "report.json", "errors.jsonl"


@dataclass(frozen=True, slots=True)
class RangeProgress:
    """How far one range is: the next row is at `position`; `lines` were looked at. `version` is the item's."""

    number: int
    position: int
    lines: int = 0
    rows: int = 0
    rejected: int = 0
    done: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class ImportStore:
    """The imports of one deployment, kept for `kept_seconds`."""

    table: Table
    objects: Objects
    system: System
    report_ttl_seconds: int

    # one import

    def plan(self, target: types.Target, import_id: str) -> Plan | None:
        """The plan, None where there is none. Raises Corrupt."""
        key = folder(target.tenant, target.database, import_id) + _PLAN
        value = self._get(key)
        return None if value is None else types.decode_plan(value, key)

    def begin(self, plan: Plan) -> Plan:
        """Note the plan and an item for each range; the plan that stands, which is one made before if there is one."""
        self._delete_old(plan.target)
        try:
            self.objects.put(_folder(plan) + _PLAN, plan.encode(), if_absent=True)
        except ConditionFailed:
            plan = self.plan(plan.target, plan.id) or plan
        present = {each.number for each in self.progress(plan)}
        for number, part in enumerate(plan.ranges):
            if number not in present:
                try:
                    self.table.put(
                        *self._item(plan, RangeProgress(number, part.start)), if_absent=True, expires_at=self._expiry()
                    )
                except ConditionFailed:
                    continue
        return plan

    def progress(self, plan: Plan) -> list[RangeProgress]:
        """How far each range is."""
        items = self.table.query(_partition(plan.id), after=_RANGE, before=_STOP)
        return [_decoded(item) for item in items]

    def range_progress(self, plan: Plan, number: int) -> RangeProgress | None:
        """How far one range is, None where the import was forgotten."""
        item = self.table.get(_partition(plan.id), _sort(number))
        return None if item is None else _decoded(item)

    def progress_write(self, plan: Plan, progress: RangeProgress) -> Put:
        """The write that moves a range on, on condition that nobody else has."""
        pk, sk, value = self._item(plan, progress)
        return Put(pk, sk, value, if_version=progress.version, expires_at=self._expiry())

    def advance(self, plan: Plan, progress: RangeProgress) -> None:
        """Move a range on where there is nothing to append. Raises Overtaken."""
        note = self.progress_write(plan, progress)
        try:
            self.table.put(note.pk, note.sk, note.value, if_version=note.if_version, expires_at=note.expires_at)
        except ConditionFailed as conflict:
            raise RangeConflict(conflict.message) from None

    def publish_progress(self, plan: Plan, progress: RangeProgress) -> None:
        """Put the readable copy of a range's item."""
        told = asdict(replace(progress, version=0))
        del told["version"]
        self.objects.put(f"{_folder(plan)}ranges/{progress.number:06}.json", orjson.dumps(told))

    def add_rejected(self, plan: Plan, number: int, position: int, rejected: Sequence[Rejected]) -> None:
        """Put the rows of a piece that were not taken."""
        key = f"{_folder(plan)}errors/{number:06}-{position:020}.jsonl"
        self.objects.put(key, b"".join(_error_line(plan, each) for each in rejected))

    def fail(self, plan: Plan, reason: str) -> None:
        """Let the import go no further."""
        try:
            self.table.put(
                *(_partition(plan.id), _STOP, orjson.dumps({"reason": reason})),
                if_absent=True,
                expires_at=self._expiry(),
            )
        except ConditionFailed:
            return

    def failure(self, plan: Plan) -> str | None:
        """Why the import goes no further, None where it does."""
        item = self.table.get(_partition(plan.id), _STOP)
        return None if item is None else str(orjson.loads(item.value)["reason"])

    def finish(self, plan: Plan) -> ImportReport:
        """Put the rejected rows together, then the receipt; the receipt that stands. To be called at the end."""
        receipt = self._current_report(plan)
        reason = self.failure(plan)
        receipt = replace(
            receipt, state="done" if reason is None else "failed", reason=reason, finished_at=self.system.now()
        )
        prefix = _folder(plan)
        parts = [info.key for info in self.objects.list(f"{prefix}errors/")]
        if parts:
            self.objects.put(prefix + _ERRORS, b"".join(each or b"" for each in self.objects.get_many(parts)))
        try:
            self.objects.put(prefix + _REPORT, receipt.encode(), if_absent=True)
        except ConditionFailed:
            return self.report(plan.target.tenant, plan.target.database, plan.id)
        return receipt

    def put_report(self, receipt: ImportReport) -> None:
        """Put the receipt of a file that came to no plan."""
        self.objects.put(folder(receipt.tenant, receipt.database, receipt.id) + _REPORT, receipt.encode())

    def resume(self, plan: Plan) -> None:
        """Let an import that failed go on from where it is."""
        self.table.delete(_partition(plan.id), _STOP)
        self.objects.delete(_folder(plan) + _REPORT)

    def delete(self, tenant: str, database: str, import_id: str) -> None:
        """Remove everything about an import."""
        self.objects.delete_many([info.key for info in self.objects.list(folder(tenant, database, import_id))])
        for item in self.table.query(_partition(import_id)):
            self.table.delete(item.pk, item.sk)

    # all of them

    def report(self, tenant: str, database: str, import_id: str) -> ImportReport:
        """How an import ended, or stands. Raises NotFound, Corrupt."""
        found = self.finished(tenant, database, import_id)
        if found is not None:
            return found
        plan = self.plan(types.Target(tenant, database, ""), import_id) if import_id.isalnum() else None
        if plan is None:
            raise NotFound(f"Import [{import_id}] does not exist")
        return self._current_report(plan)

    def finished(self, tenant: str, database: str, import_id: str) -> ImportReport | None:
        """The receipt, None where the import is not at its end."""
        value = self._get(folder(tenant, database, import_id) + _REPORT) if import_id.isalnum() else None
        return None if value is None else ImportReport(**orjson.loads(value))

    def list(self, tenant: str, database: str) -> list[ImportReport]:
        """Every import of a database, the one last begun first."""
        keys = [info.key for info in self.objects.list(folder(tenant, database))]
        ids = dict.fromkeys(_id_of(key) for key in keys)
        finished = self.objects.get_many([key for key in keys if key.endswith(f"/{_REPORT}")])
        receipts = [ImportReport(**orjson.loads(each)) for each in finished if each is not None]
        for each in ids.keys() - {each.id for each in receipts}:
            try:
                receipts.append(self.report(tenant, database, each))
            except NotFound:
                continue  # forgotten meanwhile
        return sorted(receipts, key=lambda each: each.started_at, reverse=True)

    def errors(self, tenant: str, database: str, import_id: str) -> Iterator[dict[str, Any]]:
        """The rows of an import that were not taken: file, line and reason of each. Raises NotFound."""
        self.report(tenant, database, import_id)
        prefix = folder(tenant, database, import_id)
        whole = self._get(prefix + _ERRORS)
        keys = [] if whole is not None else [info.key for info in self.objects.list(f"{prefix}errors/")]
        for part in [whole] if whole is not None else (self._get(key) for key in keys):
            for line in (part or b"").splitlines():
                yield orjson.loads(line)

    def _current_report(self, plan: Plan) -> ImportReport:
        ranges = self.progress(plan)
        return ImportReport(
            id=plan.id,
            state="running",
            file=plan.name,
            size=plan.size,
            tenant=plan.target.tenant,
            database=plan.target.database,
            collection=plan.target.collection,
            collection_id=plan.collection_id,
            rows=sum(each.rows for each in ranges),
            rejected=sum(each.rejected for each in ranges),
            ranges=len(plan.ranges),
            ranges_done=sum(each.done for each in ranges),
            started_at=plan.started_at,
        )

    def _delete_old(self, target: types.Target) -> None:
        oldest = self.system.now() - self.report_ttl_seconds
        for info in list(self.objects.list(folder(target.tenant, target.database))):
            if info.key.endswith(_REPORT) and info.modified < oldest:
                self.delete(target.tenant, target.database, _id_of(info.key))

    def _get(self, key: str) -> bytes | None:
        try:
            return self.objects.get(key)
        except ObjectNotFound:
            return None

    def _item(self, plan: Plan, progress: RangeProgress) -> tuple[str, str, bytes]:
        told = asdict(progress)
        del told["version"], told["number"]
        return _partition(plan.id), _sort(progress.number), orjson.dumps(told)

    def _expiry(self) -> int:
        return int(self.system.now()) + self.report_ttl_seconds


def folder(tenant: str, database: str, import_id: str | None = None) -> str:
    """The prefix of a database's imports, or of one of them."""
    # A tenant may be called anything of three characters, also what would lead out of the folder.
    place = "".join(f"{quote(each, safe='').replace('.', '%2E')}/" for each in (tenant, database))
    return f"{ROOT}{place}" if import_id is None else f"{ROOT}{place}{import_id}/"


def _folder(plan: Plan) -> str:
    return folder(plan.target.tenant, plan.target.database, plan.id)


def _id_of(key: str) -> str:
    return key.removeprefix(ROOT).split("/")[2]


def _partition(import_id: str) -> str:
    return f"IMPORT#{import_id}"


def _sort(number: int) -> str:
    return f"{_RANGE}{number:06}"


def _decoded(item: Item) -> RangeProgress:
    return RangeProgress(int(item.sk.removeprefix(_RANGE)), version=item.version, **orjson.loads(item.value))


def _error_line(plan: Plan, rejected: Rejected) -> bytes:
    told = {"file": plan.name, "line": rejected.line, "reason": rejected.reason}
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
