"""The progress of imports: items decide, objects are readable copies for clients (`bulk.import_layout`)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
import xxhash

from afterglow.bulk import types
from afterglow.bulk.import_layout import (
    ERRORS,
    PLAN,
    RANGE,
    REPORT,
    STOP,
    RangeProgress,
    decode,
    encode,
    error_line,
    folder,
    id_of,
    partition,
    plan_folder,
    sort_key,
)
from afterglow.bulk.sources import Source
from afterglow.bulk.types import ImportRejected, ImportReport, Plan, RangeConflict, Rejected, Target
from afterglow.errors import NotFound
from afterglow.settings import System
from afterglow.storage.ports import ConditionFailed, ObjectNotFound, Objects, Put, Table


@dataclass(frozen=True, slots=True)
class ImportStore:
    """The imports of one deployment; reports are kept for `report_ttl_seconds`."""

    table: Table
    objects: Objects
    system: System
    report_ttl_seconds: int

    # one import

    def plan(self, target: Target, import_id: str) -> Plan | None:
        """The plan, None if there is none. Raises Corrupt."""
        key = folder(target.tenant, target.database, import_id) + PLAN
        value = self._get(key)
        return None if value is None else types.decode_plan(value, key)

    def begin(self, plan: Plan) -> Plan:
        """Store the plan and an item for each range; returns the stored plan, which may be an earlier one."""
        self._delete_old(plan.target)
        try:
            self.objects.put(plan_folder(plan) + PLAN, plan.encode(), if_absent=True)
        except ConditionFailed:
            plan = self.plan(plan.target, plan.id) or plan
        present = {progress.number for progress in self.progress(plan)}
        for number, file_range in enumerate(plan.ranges):
            if number not in present:
                try:
                    self.table.put(
                        *encode(plan, RangeProgress(number, file_range.start)),
                        if_absent=True,
                        expires_at=self._expiry(),
                    )
                except ConditionFailed:
                    continue
        return plan

    def progress(self, plan: Plan) -> list[RangeProgress]:
        """The progress of every range."""
        items = self.table.query(partition(plan.id), after=RANGE, before=STOP)
        return [decode(item) for item in items]

    def range_progress(self, plan: Plan, number: int) -> RangeProgress | None:
        """The progress of one range, None if the import was deleted."""
        item = self.table.get(partition(plan.id), sort_key(number))
        return None if item is None else decode(item)

    def progress_write(self, plan: Plan, progress: RangeProgress) -> Put:
        """The write that advances a range, on condition that no other worker has."""
        pk, sk, value = encode(plan, progress)
        return Put(pk, sk, value, if_version=progress.version, expires_at=self._expiry())

    def advance(self, plan: Plan, progress: RangeProgress) -> None:
        """Advance a range without a batch. Raises RangeConflict."""
        write = self.progress_write(plan, progress)
        try:
            self.table.put(write.pk, write.sk, write.value, if_version=write.if_version, expires_at=write.expires_at)
        except ConditionFailed as conflict:
            raise RangeConflict(conflict.message) from None

    def publish_progress(self, plan: Plan, progress: RangeProgress) -> None:
        """Put the readable copy of a range's item."""
        fields = asdict(progress)
        del fields["version"]
        self.objects.put(f"{plan_folder(plan)}ranges/{progress.number:06}.json", orjson.dumps(fields))

    def add_rejected(self, plan: Plan, number: int, position: int, rejected: Sequence[Rejected]) -> None:
        """Put the rejected rows of a chunk."""
        key = f"{plan_folder(plan)}errors/{number:06}-{position:020}.jsonl"
        self.objects.put(key, b"".join(error_line(plan, row) for row in rejected))

    def limit_rejected(self, plan: Plan, limit: int) -> None:
        """Raises ImportRejected if the ranges have more rejected rows than `limit`."""
        rejected = sum(progress.rejected for progress in self.progress(plan))
        if rejected > limit:
            raise ImportRejected(f"{rejected} rows were rejected: AFTERGLOW_IMPORT_MAX_REJECTED_ROWS is {limit}")

    def fail(self, plan: Plan, reason: str) -> None:
        """End the import with a reason; the first one stays."""
        try:
            self.table.put(
                *(partition(plan.id), STOP, orjson.dumps({"reason": reason})),
                if_absent=True,
                expires_at=self._expiry(),
            )
        except ConditionFailed:
            return

    def failure(self, plan: Plan) -> str | None:
        """The reason for which the import failed, None if it has not."""
        item = self.table.get(partition(plan.id), STOP)
        return None if item is None else str(orjson.loads(item.value)["reason"])

    def finish(self, plan: Plan) -> ImportReport:
        """Join the rejected rows, then put the report; returns the stored one. Called when all ranges are done."""
        report = self._current_report(plan)
        reason = self.failure(plan)
        report = replace(
            report, state="done" if reason is None else "failed", reason=reason, finished_at=self.system.now()
        )
        prefix = plan_folder(plan)
        keys = [info.key for info in self.objects.list(f"{prefix}errors/")]
        if keys:
            self.objects.put(prefix + ERRORS, b"".join(content or b"" for content in self.objects.get_many(keys)))
        try:
            self.objects.put(prefix + REPORT, report.encode(), if_absent=True)
        except ConditionFailed:
            return self.report(plan.target.tenant, plan.target.database, plan.id)
        return report

    def reject(self, source: Source, target: Target, reason: str) -> ImportReport:
        """Put the report of a file without a plan; returns it."""
        now = self.system.now()
        identity = (source.key, source.version, target.tenant, target.database, target.collection)
        report = ImportReport(
            id=xxhash.xxh3_128_hexdigest("\n".join(identity).encode()),
            state="failed",
            file=source.name,
            size=source.size,
            tenant=target.tenant,
            database=target.database,
            collection=target.collection,
            started_at=now,
            finished_at=now,
            reason=reason,
        )
        self.objects.put(folder(target.tenant, target.database, report.id) + REPORT, report.encode())
        return report

    def resume(self, plan: Plan) -> None:
        """Let a failed import continue from its progress."""
        self.table.delete(partition(plan.id), STOP)
        self.objects.delete(plan_folder(plan) + REPORT)

    def delete(self, tenant: str, database: str, import_id: str) -> None:
        """Remove everything about an import."""
        self.objects.delete_many([info.key for info in self.objects.list(folder(tenant, database, import_id))])
        for item in self.table.query(partition(import_id)):
            self.table.delete(item.pk, item.sk)

    # all of them

    def report(self, tenant: str, database: str, import_id: str) -> ImportReport:
        """The report of an import, finished or running. Raises NotFound, Corrupt."""
        finished = self.finished(tenant, database, import_id)
        if finished is not None:
            return finished
        plan = self.plan(Target(tenant, database, ""), import_id) if import_id.isalnum() else None
        if plan is None:
            raise NotFound(f"Import [{import_id}] does not exist")
        return self._current_report(plan)

    def finished(self, tenant: str, database: str, import_id: str) -> ImportReport | None:
        """The report of a finished import, None if it is not finished."""
        value = self._get(folder(tenant, database, import_id) + REPORT) if import_id.isalnum() else None
        return None if value is None else ImportReport(**orjson.loads(value))

    def list(self, tenant: str, database: str) -> list[ImportReport]:
        """Every import of a database, the latest first."""
        keys = [info.key for info in self.objects.list(folder(tenant, database))]
        ids = dict.fromkeys(id_of(key) for key in keys)
        finished = self.objects.get_many([key for key in keys if key.endswith(f"/{REPORT}")])
        reports = [ImportReport(**orjson.loads(content)) for content in finished if content is not None]
        for import_id in ids.keys() - {report.id for report in reports}:
            try:
                reports.append(self.report(tenant, database, import_id))
            except NotFound:
                continue  # deleted meanwhile
        return sorted(reports, key=lambda report: report.started_at, reverse=True)

    def errors(self, tenant: str, database: str, import_id: str) -> Iterator[dict[str, Any]]:
        """The rejected rows of an import: file, line and reason of each. Raises NotFound."""
        self.report(tenant, database, import_id)
        prefix = folder(tenant, database, import_id)
        joined = self._get(prefix + ERRORS)
        keys = [] if joined is not None else [info.key for info in self.objects.list(f"{prefix}errors/")]
        for content in [joined] if joined is not None else (self._get(key) for key in keys):
            for line in (content or b"").splitlines():
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
            rows=sum(progress.rows for progress in ranges),
            rejected=sum(progress.rejected for progress in ranges),
            ranges=len(plan.ranges),
            ranges_done=sum(progress.done for progress in ranges),
            started_at=plan.started_at,
            columns=plan.columns.sources,
            ignored=plan.columns.ignored,
            left_out=dict(sum((Counter(progress.left_out) for progress in ranges), Counter[str]())),
        )

    def _delete_old(self, target: Target) -> None:
        oldest = self.system.now() - self.report_ttl_seconds
        for info in list(self.objects.list(folder(target.tenant, target.database))):
            if info.key.endswith(REPORT) and info.modified < oldest:
                self.delete(target.tenant, target.database, id_of(info.key))

    def _get(self, key: str) -> bytes | None:
        try:
            return self.objects.get(key)
        except ObjectNotFound:
            return None

    def _expiry(self) -> int:
        return int(self.system.now()) + self.report_ttl_seconds
