"""Where the progress of imports is stored.

Items, under `IMPORT#<id>`: `RANGE#<number>` for each range, advanced by version in one transaction with each batch;
`STOP` if the import failed, with the reason.

Objects, under `imports/.status/<tenant>/<database>/<id>/`::

    plan.json                    put once, before any other
    ranges/<number>.json         the progress of the range; a copy of its item, put after it
    errors/<number>-<position>.jsonl    rejected rows, by the position of their chunk in the range
    errors.jsonl                 all of them, put before the report
    report.json                 put once, at the end

Both are removed after `import_report_ttl_seconds`: items of the table expire, the next plan in their database
deletes the objects.
"""

from dataclasses import asdict, dataclass, field
from urllib.parse import quote

import orjson

from afterglow.bulk.types import Plan, Rejected
from afterglow.storage.ports import Item

ROOT = "imports/.status/"
STOP = "STOP"
RANGE = "RANGE#"
PLAN, REPORT, ERRORS = "plan.json", "report.json", "errors.jsonl"


@dataclass(frozen=True, slots=True)
class RangeProgress:
    """The progress of a range: the next row is at `position`, `lines` were read. `version` is the item's.

    `left_out` counts by metadata key the nested values that were left out.
    """

    number: int
    position: int
    lines: int = 0
    rows: int = 0
    rejected: int = 0
    done: bool = False
    version: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


def folder(tenant: str, database: str, import_id: str | None = None) -> str:
    """The prefix of a database's imports, or of one of them."""
    # Names of tenants may have any characters, also those of a path out of the folder.
    path = "".join(f"{quote(name, safe='').replace('.', '%2E')}/" for name in (tenant, database))
    return f"{ROOT}{path}" if import_id is None else f"{ROOT}{path}{import_id}/"


def plan_folder(plan: Plan) -> str:
    """The prefix of a plan's import."""
    return folder(plan.target.tenant, plan.target.database, plan.id)


def id_of(key: str) -> str:
    """The id of the import to which an object belongs."""
    return key.removeprefix(ROOT).split("/")[2]


def partition(import_id: str) -> str:
    """The partition of an import's items."""
    return f"IMPORT#{import_id}"


def sort_key(number: int) -> str:
    """The sort key of a range's item."""
    return f"{RANGE}{number:06}"


def decode(item: Item) -> RangeProgress:
    """The progress in a range's item."""
    return RangeProgress(int(item.sk.removeprefix(RANGE)), version=item.version, **orjson.loads(item.value))


def error_line(plan: Plan, rejected: Rejected) -> bytes:
    """A rejected row as a line of JSON: file, line and reason."""
    line = {"file": plan.name, "line": rejected.line, "reason": rejected.reason}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def encode(plan: Plan, progress: RangeProgress) -> tuple[str, str, bytes]:
    """Partition, sort key and value of a range's item."""
    fields = asdict(progress)
    del fields["version"], fields["number"]
    return partition(plan.id), sort_key(progress.number), orjson.dumps(fields)
