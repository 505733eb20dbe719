"""The queues: the port over an SQS FIFO queue, and the importer's, to which S3 itself sends and which has no order.

The port: one message a nudge, `{"group": …, "body": …}`, in order within its group. The message group is the port's
group: one indexer at a time works on a collection. A body that was sent within the last five minutes is not sent again,
even when it was worked on meanwhile (SQS compares the deduplication id, made of group and body): what must be worked on
anew says something new. A message that is lost costs time, never data.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import partial

import orjson

from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.error_mapping import map_errors
from afterglow.storage.aws.transfer import run_parallel

_SIDE_BY_SIDE = 8
_TOKEN = re.compile(r"[!-~]{1,128}")
"""What SQS takes as a group or a deduplication id: letters, digits and punctuation of ASCII."""


class SqsQueue:
    """Messages to the FIFO queue at `url`."""

    def __init__(self, clients: Clients, url: str) -> None:
        self._clients = clients
        self._url = url

    def send(self, group: str, body: str) -> None:
        """Ask for `body` to be worked on, in order within `group`, at least once."""
        message = orjson.dumps({"group": group, "body": body}).decode()
        with map_errors(f"queue {self._url.rpartition('/')[2]}"):
            self._clients.sqs.send_message(
                QueueUrl=self._url,
                MessageBody=message,
                MessageGroupId=_token(group),
                MessageDeduplicationId=_token(f"{group}#{body}"),
            )


class ImportQueue:
    """Messages to the importer's queue at `url`."""

    def __init__(self, clients: Clients, url: str) -> None:
        self._clients = clients
        self._url = url

    def send(self, bodies: Sequence[str]) -> None:
        """Ask for each of `bodies` to be worked on, at least once; side by side, as there may be many."""
        with map_errors(f"queue {self._url.rpartition('/')[2]}"):
            sends = [partial(self._clients.sqs.send_message, QueueUrl=self._url, MessageBody=body) for body in bodies]
            run_parallel(sends, _SIDE_BY_SIDE)


def _token(text: str) -> str:
    return text if _TOKEN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()
