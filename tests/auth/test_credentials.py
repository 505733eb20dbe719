"""What is read of headers, and what is not."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterglow.auth.credentials import Credential, extract
from afterglow.errors import Unauthenticated

KEY = b"k" * 32


def basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    ("headers", "user", "secret"),
    [
        ([(b"x-chroma-token", b"abc")], None, b"abc"),
        ([(b"authorization", b"Bearer abc")], None, b"abc"),
        ([(b"authorization", b"bearer  abc ")], None, b"abc"),
        ([(b"authorization", basic(b"me:abc"))], b"me", b"abc"),
        ([(b"authorization", basic(b"me:a:b:c"))], b"me", b"a:b:c"),
        ([(b"authorization", basic(b"me:"))], b"me", b""),
        ([(b"authorization", basic("ä:ö".encode()))], "ä".encode(), "ö".encode()),
        # A proxy's own Basic does not hide the client's token.
        ([(b"authorization", basic(b"proxy:secret")), (b"x-chroma-token", b"abc")], None, b"abc"),
    ],
)
def test_accepted_headers(headers: list[tuple[bytes, bytes]], user: bytes | None, secret: bytes) -> None:
    assert extract([(b"host", b"x"), *headers]) == Credential(user, secret)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-chroma-token", b"")],
        [(b"x-chroma-token", b" ")],
        [(b"authorization", b"")],
        [(b"authorization", b"abc")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Digest username=me")],
        [(b"authorization", b"Basic")],
        [(b"authorization", b"Basic !!!!")],
        [(b"authorization", b"Basic " + base64.b64encode(b"no colon"))],
        [(b"authorization", basic(b"me:" + b"x" * 5_000))],
        [(b"x-chroma-token", b"x" * 5_000)],
        [(b"x-chroma-token", b"abc"), (b"x-chroma-token", b"abc")],
        [(b"authorization", b"Bearer abc"), (b"authorization", b"Bearer def")],
    ],
)
def test_rejected_headers(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Unauthenticated):
        extract(headers)


def test_a_secret_is_not_printed() -> None:
    assert "abc" not in repr(Credential(b"me", b"abc"))


def test_fingerprints_distinguish_user_and_secret() -> None:
    several = [Credential(None, b"a"), Credential(b"", b"a"), Credential(b"a", b""), Credential(b"a", b"\0a")]
    assert len({credential.fingerprint(KEY) for credential in several}) == len(several)
    assert several[0].fingerprint(KEY) != several[0].fingerprint(b"l" * 32)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"x-chroma-token", b"host"]),
            st.binary(max_size=40)
            | st.builds(
                lambda scheme, rest: scheme + b" " + rest,
                st.sampled_from([b"Basic", b"bearer", b"BASIC"]),
                st.binary(max_size=40) | st.binary(max_size=40).map(base64.b64encode),
            ),
        ),
        max_size=3,
    )
)
def test_any_header_is_a_credential_or_none(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        credential = extract(headers)
    except Unauthenticated:
        return
    assert credential.secret or credential.user is not None
    assert len(credential.fingerprint(KEY)) == 32
