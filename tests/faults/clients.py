"""Client threads that write until the server is killed; they track acknowledged and in-flight operations."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.model import Operation, RecordMap, Scenario, apply_operation
from tests.support.http import ConnectionLost
from tests.support.server import Server
from tests.support.wire import Refused, Wire

RETRYABLE_STATUSES = frozenset({429})


@dataclass
class Writer:
    """One client: its scenario, the operation in flight when the server died, and its failure."""

    scenario: Scenario
    collection: str
    acknowledged: int = 0
    in_flight: Operation | None = None
    failure: str | None = None

    def run(self, server: Server, stop: threading.Event) -> None:
        """Write until `stop` is set or the connection is lost."""
        with server.client(timeout=60) as client:
            wire = Wire(client)
            while not stop.is_set() and self.failure is None:
                operation = self.scenario.next()
                self.in_flight = operation
                try:
                    _send(wire, self.collection, operation)
                except ConnectionLost:
                    return
                except Refused as refusal:
                    self.failure = f"client {self.scenario.client}: {operation.verb} refused with {refusal}"
                    return
                self.in_flight = None
                self.acknowledged += 1
                self.scenario.records = apply_operation(self.scenario.records, operation)

    def possible(self) -> list[RecordMap]:
        """The possible records: everything acknowledged, without or with the operation in flight."""
        states = [self.scenario.records]
        if self.in_flight is not None:
            states.append(apply_operation(self.scenario.records, self.in_flight))
        return states


def _send(wire: Wire, collection: str, operation: Operation) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if operation.verb == "delete":
                wire.delete(collection, operation.body)
            else:
                wire.write(collection, operation.verb, operation.body)
        except Refused as refusal:
            if refusal.status not in RETRYABLE_STATUSES or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def write_until_killed(server: Server, writers: list[Writer], seconds: float, kill: Callable[[], object]) -> None:
    """Start the writers, `kill` the server after `seconds`, and wait for the writers."""
    stop = threading.Event()
    threads = [threading.Thread(target=writer.run, args=(server, stop)) for writer in writers]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    kill()
    stop.set()
    for thread in threads:
        thread.join(90)
    assert not any(thread.is_alive() for thread in threads), "a client still waits for a killed server"
