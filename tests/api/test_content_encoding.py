"""Compression and the limit of answers."""

import json
import zlib

import pytest

from afterglow.api.http.content_encoding import accepts_gzip, encode_response, lambda_envelope_size, needs_no_encoding
from afterglow.api.http.handler import Response
from afterglow.errors import ResponseTooLarge
from afterglow.settings import Settings

GZIP = [(b"accept-encoding", b"gzip")]


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        (b"gzip", True),
        (b"deflate, GZip;q=0.5", True),
        (b"x-gzip", True),
        (b"*", True),
        (b"br, *;q=0.1", True),
        (b"gzip; q=1", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.000, *", False),
        (b"*;q=0", False),
        (b"*;q=0, gzip", True),
        (b"identity", False),
        (b"br;q=1.0, deflate", False),
        (b"", False),
        (b",;q=0,", False),
    ],
)
def test_what_admits_gzip(value: bytes, accepted: bool) -> None:
    assert accepts_gzip([(b"host", b"x"), (b"accept-encoding", value)]) is accepted


def test_the_header_may_come_in_parts_or_not_at_all() -> None:
    assert not accepts_gzip([])
    assert accepts_gzip([(b"accept-encoding", b"br"), (b"accept-encoding", b"gzip")])


@pytest.mark.parametrize(
    ("body", "settings", "plain"),
    [
        (b"x" * 100, Settings(), True),
        (b"x" * 100, Settings(compress_min_bytes=101), True),
        (b"x" * 100, Settings(compress_min_bytes=100), False),
        (b"x" * 100, Settings(max_response_bytes=200), True),
        (b"x" * 100, Settings(max_response_bytes=199), False),
    ],
)
def test_what_needs_no_look(body: bytes, settings: Settings, plain: bool) -> None:
    assert needs_no_encoding(Response(body), settings) is plain


def test_compression() -> None:
    response = Response(b'{"a": 1}' * 100, headers=[(b"x", b"y")])
    settings = Settings(compress_min_bytes=800)
    packed = encode_response(response, GZIP, settings)
    assert zlib.decompress(packed.body, 31) == response.body
    assert packed.headers == [(b"x", b"y"), (b"vary", b"accept-encoding"), (b"content-encoding", b"gzip")]
    assert packed.content_type == response.content_type
    unpacked = encode_response(response, [], settings)
    assert (unpacked.body, unpacked.headers) == (response.body, [(b"x", b"y"), (b"vary", b"accept-encoding")])
    assert encode_response(response, GZIP, Settings(compress_min_bytes=801)) is response
    assert encode_response(response, GZIP, Settings()) is response


@pytest.mark.parametrize("text", ['{"a":"b"}', '["\\\\", "\\n", "é", "\u2028", "\x7f", "/"]'])
def test_the_size_of_text_is_what_json_makes_of_it(text: str) -> None:
    inside = json.dumps(text, ensure_ascii=False).encode()
    assert lambda_envelope_size(Response(text.encode())) == len(inside) - 2


def test_the_size_of_what_is_compressed_is_that_of_base64() -> None:
    for size, expected in ((0, 0), (1, 4), (3, 4), (4, 8), (3000, 4000)):
        assert lambda_envelope_size(Response(b"x" * size, headers=[(b"content-encoding", b"gzip")])) == expected


def test_the_limit() -> None:
    exact = Response(b'["' + b"x" * 96 + b'"]')
    assert encode_response(exact, [], Settings(max_response_bytes=102)) is exact
    with pytest.raises(ResponseTooLarge) as caught:
        encode_response(exact, [], Settings(max_response_bytes=101))
    assert caught.value.message == (
        "Payload too large: the response has 102 bytes, at most 101 can be sent; request fewer records at a time "
        "(limit and offset, or n_results), or leave embeddings or documents out of include"
    )
    small = Settings(max_response_bytes=101, compress_min_bytes=1)
    assert encode_response(exact, GZIP, small).body != exact.body
    with pytest.raises(ResponseTooLarge, match=r"out of include, or accept gzip$"):
        encode_response(exact, [], small)
    with pytest.raises(ResponseTooLarge, match=r"out of include$"):
        encode_response(exact, GZIP, Settings(max_response_bytes=10, compress_min_bytes=1))
