"""Client threads that write until the server is killed under them; they know what was acknowledged, what in flight."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.model import Book, Operation, Programme, applied
from tests.support.http import ConnectionLost
from tests.support.server import Server
from tests.support.wire import Refused, Wire

TRY_AGAIN = frozenset({429})


@dataclass
class Writer:
    """One client: its programme, the operation it was waiting for when the server died, and what went wrong."""

    programme: Programme
    collection: str
    acknowledged: int = 0
    in_flight: Operation | None = None
    failure: str | None = None

    def run(self, server: Server, stop: threading.Event) -> None:
        """Write until `stop` is set or the connection is lost."""
        with server.client(timeout=60) as client:
            wire = Wire(client)
            while not stop.is_set() and self.failure is None:
                operation = self.programme.next()
                self.in_flight = operation
                try:
                    _send(wire, self.collection, operation)
                except ConnectionLost:
                    return
                except Refused as refusal:
                    self.failure = f"client {self.programme.client}: {operation.verb} refused with {refusal}"
                    return
                self.in_flight = None
                self.acknowledged += 1
                self.programme.book = applied(self.programme.book, operation)

    def possible(self) -> list[Book]:
        """What may be there: everything acknowledged, without or with the operation in flight."""
        books = [self.programme.book]
        if self.in_flight is not None:
            books.append(applied(self.programme.book, self.in_flight))
        return books


def _send(wire: Wire, collection: str, operation: Operation) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if operation.verb == "delete":
                wire.delete(collection, operation.body)
            else:
                wire.write(collection, operation.verb, operation.body)
        except Refused as refusal:
            if refusal.status not in TRY_AGAIN or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def write_until_killed(server: Server, writers: list[Writer], seconds: float, kill: Callable[[], object]) -> None:
    """Let the writers go, `kill` the server after `seconds`, and wait for them."""
    stop = threading.Event()
    threads = [threading.Thread(target=each.run, args=(server, stop)) for each in writers]
    for each in threads:
        each.start()
    stop.wait(seconds)
    kill()
    stop.set()
    for each in threads:
        each.join(90)
    assert not any(each.is_alive() for each in threads), "a client still waits for a server that is dead"
