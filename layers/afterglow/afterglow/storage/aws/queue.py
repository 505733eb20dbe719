"""The Queue port over an SQS FIFO queue, and the importer's standard queue, to which S3 itself also sends.

The port sends one message per notification, `{"group": …, "body": …}`, in order within its group. The SQS message group
is the port's group: one indexer at a time works on a collection. SQS drops a body sent again within five minutes, even
if it has been processed meanwhile (the deduplication id is made of group and body): a request for new work needs a new
body. A lost message delays the work but loses no data.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import partial

import orjson

from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.error_mapping import map_errors
from afterglow.storage.aws.transfer import run_parallel

_PARALLEL_SENDS = 8
_TOKEN = re.compile(r"[!-~]{1,128}")
"""What SQS accepts as a group or a deduplication id: ASCII letters, digits and punctuation."""


class SqsQueue:
    """Sends messages to the FIFO queue at `url`."""

    def __init__(self, clients: Clients, url: str) -> None:
        self._clients = clients
        self._url = url

    def send(self, group: str, body: str) -> None:
        """Send `body`: it is delivered at least once, in order within `group`."""
        message = orjson.dumps({"group": group, "body": body}).decode()
        with map_errors(f"queue {self._url.rpartition('/')[2]}"):
            self._clients.sqs.send_message(
                QueueUrl=self._url,
                MessageBody=message,
                MessageGroupId=_token(group),
                MessageDeduplicationId=_token(f"{group}#{body}"),
            )


class ImportQueue:
    """Sends messages to the importer's queue at `url`."""

    def __init__(self, clients: Clients, url: str) -> None:
        self._clients = clients
        self._url = url

    def send(self, bodies: Sequence[str]) -> None:
        """Send all of `bodies` in parallel; each is delivered at least once, in no order."""
        with map_errors(f"queue {self._url.rpartition('/')[2]}"):
            sends = [partial(self._clients.sqs.send_message, QueueUrl=self._url, MessageBody=body) for body in bodies]
            run_parallel(sends, _PARALLEL_SENDS)


def _token(text: str) -> str:
    return text if _TOKEN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()
