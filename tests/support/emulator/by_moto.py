"""Requests of services other than S3, carried out by moto in this process."""

from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import BotocoreStubber

from tests.support.emulator.bucket import Answer

_STUBBER = BotocoreStubber()


def by_moto(service: str, region: str, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
    """The answer to a request that is signed for this service."""
    sent = HTTPHeaders()
    for name, value in headers.items():
        sent[name] = value
    url = f"https://{service}.{region}.amazonaws.com{target}"
    answer: Any = _STUBBER.process_request(AWSPreparedRequest(method, url, sent, body, stream_output=False))
    assert answer is not None, f"moto has no {service}"
    status, answered, text = answer
    return Answer(
        status,
        {name: str(value) for name, value in answered.items() if name.lower() not in ("connection", "content-length")},
        text.encode() if isinstance(text, str) else text,
    )
