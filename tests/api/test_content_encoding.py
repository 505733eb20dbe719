"""Compression and the limit of answers."""

import json
import zlib

import pytest

from afterglow.api.http.content_encoding import accepts_gzip, is_plain, shaped, size_in_envelope
from afterglow.api.http.errors import AnswerTooLarge
from afterglow.api.http.handler import Answer
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
        (b"x" * 100, Settings(compress_bytes=101), True),
        (b"x" * 100, Settings(compress_bytes=100), False),
        (b"x" * 100, Settings(max_answer_bytes=200), True),
        (b"x" * 100, Settings(max_answer_bytes=199), False),
    ],
)
def test_what_needs_no_look(body: bytes, settings: Settings, plain: bool) -> None:
    assert is_plain(Answer(body), settings) is plain


def test_compression() -> None:
    answer = Answer(b'{"a": 1}' * 100, headers=[(b"x", b"y")])
    settings = Settings(compress_bytes=800)
    packed = shaped(answer, GZIP, settings)
    assert zlib.decompress(packed.body, 31) == answer.body
    assert packed.headers == [(b"x", b"y"), (b"vary", b"accept-encoding"), (b"content-encoding", b"gzip")]
    assert packed.content_type == answer.content_type
    unpacked = shaped(answer, [], settings)
    assert (unpacked.body, unpacked.headers) == (answer.body, [(b"x", b"y"), (b"vary", b"accept-encoding")])
    assert shaped(answer, GZIP, Settings(compress_bytes=801)) is answer
    assert shaped(answer, GZIP, Settings()) is answer


@pytest.mark.parametrize("text", ['{"a":"b"}', '["\\\\", "\\n", "é", "\u2028", "\x7f", "/"]'])
def test_the_size_of_text_is_what_json_makes_of_it(text: str) -> None:
    inside = json.dumps(text, ensure_ascii=False).encode()
    assert size_in_envelope(Answer(text.encode())) == len(inside) - 2


def test_the_size_of_what_is_compressed_is_that_of_base64() -> None:
    for size, wanted in ((0, 0), (1, 4), (3, 4), (4, 8), (3000, 4000)):
        assert size_in_envelope(Answer(b"x" * size, headers=[(b"content-encoding", b"gzip")])) == wanted


def test_the_limit() -> None:
    exact = Answer(b'["' + b"x" * 96 + b'"]')
    assert shaped(exact, [], Settings(max_answer_bytes=102)) is exact
    with pytest.raises(AnswerTooLarge) as caught:
        shaped(exact, [], Settings(max_answer_bytes=101))
    assert caught.value.message == (
        "Payload too large: the answer has 102 bytes, at most 101 can be sent; ask for fewer records at a time (limit "
        "and offset, or n_results), or leave embeddings or documents out of include"
    )
    small = Settings(max_answer_bytes=101, compress_bytes=1)
    assert shaped(exact, GZIP, small).body != exact.body
    with pytest.raises(AnswerTooLarge, match=r"out of include, or accept gzip$"):
        shaped(exact, [], small)
    with pytest.raises(AnswerTooLarge, match=r"out of include$"):
        shaped(exact, GZIP, Settings(max_answer_bytes=10, compress_bytes=1))
