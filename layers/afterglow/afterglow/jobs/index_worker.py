"""The indexer process of one machine: indexes the collections that its parent requests (`jobs.index_scheduler`).

It is a process of its own (`deployment.child_process`), because a busy Python thread slows the building of a graph many
times, and a build slows requests. Its parent has one that flushes and one that compacts. Lock files of the data
directory let only one process flush and one compact at a time, however many servers share the directory. When a
process is killed, its work is cut off, which no guarantee depends on, and its lock is free for the next one.

A request is one of these; the reply is an `IndexReport` or ``{"error": message}``::

    {"collection": id, "up_to": number or null}    flush up to a log entry and further while there is a backlog; all
    {"collection": id, "compact": idle or not}     compact until nothing is left

Garbage is collected after either, when no other process flushes or compacts. The last of them finds it all.
"""

import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from afterglow.allocator import FreeMemory
from afterglow.collection.replica.replica import Replica
from afterglow.deployment.base import AWS_ARGUMENT, Deployment, NullQueue
from afterglow.deployment.child_process import ParentConnection
from afterglow.deployment.open import open_deployment
from afterglow.errors import AfterglowError
from afterglow.jobs import gc
from afterglow.jobs.indexer import IndexReport, compact_all_segments, flush_log
from afterglow.settings import AWS_DEFAULTS, Settings, System, from_environment
from afterglow.storage.ports import Stores

_CACHED_REPLICAS = 2


def main() -> None:
    """Serve requests of the parent process until it closes the connection."""
    parent, system = ParentConnection(), System()
    path = None if sys.argv[1] == AWS_ARGUMENT else Path(sys.argv[1])
    settings = from_environment(defaults=AWS_DEFAULTS if path is None else Settings())
    deployment = open_deployment(path, settings, system)
    stores, replicas = deployment.stores(settings, system, NullQueue()), dict[UUID, Replica]()
    memory = FreeMemory()
    while True:
        request = parent.receive()
        parent.send(_reply(deployment, stores, replicas, request))
        memory.return_if_grown()


def _reply(
    deployment: Deployment, stores: Stores, replicas: dict[UUID, Replica], request: dict[str, Any]
) -> dict[str, Any]:
    """The reply to a request. No exception ends the process: each is the error of its collection."""
    try:
        collection_id = UUID(request["collection"])
        if "compact" in request:
            with deployment.compaction_lock():
                report = compact_all_segments(stores, collection_id, idle=request["compact"])
        else:
            with deployment.flush_lock():
                report = _flush(stores, replicas, collection_id, request["up_to"])
        with deployment.exclusive_lock(wait="compact" in request) as is_held:
            if is_held:
                report.collected += gc.collect_garbage(stores, collection_id)
        return asdict(report)
    except (AfterglowError, OSError) as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001  the process serves other collections
        return {"error": f"unexpected {error!r} {_source_line(error)}"}


def _source_line(error: Exception) -> str:
    """The module and line that raised an error; the parent logs it, once."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {Path(frame.filename).name}, line {frame.lineno}"


def _flush(stores: Stores, replicas: dict[UUID, Replica], collection_id: UUID, up_to: int | None) -> IndexReport:
    while len(replicas) >= _CACHED_REPLICAS and collection_id not in replicas:
        replicas.pop(next(iter(replicas)))
    replica = replicas.setdefault(collection_id, Replica.for_indexer(stores, collection_id))
    try:
        return flush_log(stores, replica, collection_id, up_to=up_to, collects=False)
    except BaseException:
        replicas.pop(collection_id)
        raise


if __name__ == "__main__":
    main()
