"""The Queue port over an SQS FIFO queue: one message a nudge, `{"group": …, "body": …}`, in order within its group.

The message group is the port's group: one indexer at a time works on a collection. A body that was sent within the last
five minutes is not sent again, even when it was worked on meanwhile (SQS compares the deduplication id, made of group
and body): what must be worked on anew says something new. A message that is lost costs time, never data.
"""

import hashlib
import re

import orjson

from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.errors import translated

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
        with translated(f"queue {self._url.rpartition('/')[2]}"):
            self._clients.sqs.send_message(
                QueueUrl=self._url,
                MessageBody=message,
                MessageGroupId=_token(group),
                MessageDeduplicationId=_token(f"{group}#{body}"),
            )


def _token(text: str) -> str:
    return text if _TOKEN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()
