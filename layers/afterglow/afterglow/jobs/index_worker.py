"""The indexer process of one machine: reads requests as lines of JSON, works, answers with lines of JSON.

It is a process of its own because a busy Python thread beside it would slow the building of a graph many times, and
the other way round. One lock file per data directory lets only one indexer work at a time, however many servers share
the directory. It ends at once when its standard input does, that is at the latest with the server that started it: what
it was doing is cut off, which no promise depends on, and the lock is free for the next.
"""

import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from uuid import UUID

import orjson

from afterglow.collection.replica.replica import Replica
from afterglow.deployment.base import AWS_ARGUMENT, NullQueue
from afterglow.deployment.open import open_deployment
from afterglow.errors import AfterglowError
from afterglow.jobs.indexer import index
from afterglow.settings import AWS_DEFAULTS, Settings, System, from_environment
from afterglow.storage.ports import Stores

_CACHED_REPLICAS = 2
_NICENESS = 5


def main() -> None:
    """Serve requests from standard input until it ends."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.nice(_NICENESS)
    system = System()
    path = None if sys.argv[1] == AWS_ARGUMENT else Path(sys.argv[1])
    settings = from_environment(defaults=AWS_DEFAULTS if path is None else Settings())
    place = open_deployment(path, settings, system)
    stores, replicas = place.stores(settings, system, NullQueue()), dict[UUID, Replica]()
    requests: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_receive, args=(requests,), daemon=True).start()
    while True:
        line = requests.get()
        with place.exclusive_lock():
            answer = _work(stores, replicas, orjson.loads(line))
        sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()


def _receive(requests: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    os._exit(0)


def _work(stores: Stores, replicas: dict[UUID, Replica], request: dict[str, object]) -> dict[str, object]:
    collection_id = UUID(str(request["collection"]))
    while len(replicas) >= _CACHED_REPLICAS and collection_id not in replicas:
        replicas.pop(next(iter(replicas)))
    replica = replicas.setdefault(collection_id, Replica.for_indexer(stores, collection_id))
    try:
        return asdict(index(stores, replica, collection_id, idle=bool(request["quiet"])))
    except (AfterglowError, OSError) as error:
        replicas.pop(collection_id)
        return {"error": str(error)}


if __name__ == "__main__":
    main()
