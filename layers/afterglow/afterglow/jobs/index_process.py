"""A child process of the indexer that starts on demand, and the queue whose thread sends it requests.

It is started again if it died, and ends when it has been idle for a while: the queue gets a message for that.
"""

from typing import Any

from afterglow.deployment.base import Deployment
from afterglow.deployment.child_process import ChildEnded, ChildProcess
from afterglow.deployment.hang_watch import OnSilence
from afterglow.storage.local.queue import ThreadQueue

STOP_CHILD = "stop the idle child"
"""The group of the message that a child has been idle; its receiver ends the child."""
_WORKER = "afterglow.jobs.index_worker"
_IDLE_SECONDS = 10.0


class IndexProcess:
    """The child process and its queue."""

    def __init__(self, deployment: Deployment, queue: ThreadQueue, on_silence: OnSilence) -> None:
        self.queue = queue
        self.is_silent = False
        """Whether the child does not respond."""
        self._on_silence = on_silence
        self._deployment = deployment
        self._child: ChildProcess | None = None
        self._is_closed = False

    def request(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The reply of the child; the request is repeated once if the child died of it. None if it died again."""
        return self._request(request) or self._request(request)

    def _request(self, request: dict[str, Any]) -> dict[str, Any] | None:
        child = self.start_child()
        if child is None:
            return None
        try:
            child.send(request)
            reply: dict[str, Any] = child.receive()
        except ChildEnded:
            self.end_child()
            return None
        return reply

    def start_child(self) -> ChildProcess | None:
        """The child, which is started if it does not run; None when closed."""
        if self._is_closed:
            return None
        if self._child is None or not self._child.is_running():
            self.end_child()
            argument = self._deployment.worker_argument()
            self._child = ChildProcess(_WORKER, argument, on_silence=self._set_silent)
        self.queue.send_later(STOP_CHILD, "", _IDLE_SECONDS)
        return self._child

    def _set_silent(self, is_silent: bool) -> None:
        self.is_silent = is_silent
        self._on_silence(is_silent)

    def end_child(self) -> None:
        """End the child, if there is one; the next request starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def close(self) -> None:
        """Stop the queue. The work of the child is cut off."""
        self._is_closed = True
        child = self._child
        if child is not None:
            child.terminate()
        self.queue.close()
        self.end_child()
