"""Attenuated keys: what a holder narrows, the server narrows; and nothing can be taken off again."""

import base64

import pytest

from afterglow.auth import Grant, Role
from afterglow.auth.api_keys import Keys
from afterglow.auth.attenuation import ATTENUATED, MAX_CHARACTERS, Caveat, attenuate, narrow
from afterglow.auth.authenticator import Authenticator
from afterglow.auth.credentials import Credential
from afterglow.errors import InvalidArgument, Unauthenticated
from afterglow.storage.ports import Stores

READER = Caveat(role=Role.READER)
OWNER, PUBLIC = b'{"owner":"ann"}', b'{"public":true}'


def find(keys: Keys, text: str) -> Grant | None:
    return keys.find(Credential(None, text.encode()))


def payload_of(text: str) -> bytes:
    encoded = text[14:]
    return base64.b32decode(encoded + "=" * (-len(encoded) % 8))


def with_payload(text: str, payload: bytes) -> str:
    return text[:14] + base64.b32encode(payload).rstrip(b"=").decode()


def test_caveats_narrow(keys: Keys) -> None:
    text, key = keys.create(Role.ADMIN, None)
    once = attenuate(text, Caveat(Role.WRITER, "one", ("a", "b"), expires=2_000_000_000))
    assert ATTENUATED.fullmatch(once.encode())
    assert once.isalnum(), "old clients take nothing else"
    databases = frozenset({"a", "b"})
    assert find(keys, once) == Grant(key.id, Role.WRITER, "one", databases, None, 2_000_000_000, is_attenuated=True)
    twice = attenuate(once, Caveat(Role.ADMIN, databases=("b", "c"), wheres=(("*", OWNER),), expires=2_100_000_000))
    assert find(keys, twice) == Grant(
        key.id, Role.WRITER, "one", frozenset({"b"}), (("*", OWNER),), 2_000_000_000, is_attenuated=True
    )
    for nothing in (Caveat(tenant="two"), Caveat(databases=("c",))):
        assert find(keys, attenuate(once, nothing)) is None
    assert find(keys, attenuate(text, Caveat(databases=("a",)))) is None, "of which tenant?"
    assert attenuate(once, READER) == attenuate(once, READER)
    keys.revoke(key.id)
    assert find(keys, once) is find(keys, twice) is None


def test_filters_apply_besides_those_of_the_key(keys: Keys) -> None:
    wheres = (("*", PUBLIC), ("books", OWNER))
    text, key = keys.create(Role.WRITER, "one", wheres=wheres)
    added = attenuate(text, Caveat(wheres=(("books", PUBLIC), ("films", OWNER))))
    both = (
        ("books", b'{"$and":[{"owner":"ann"},{"public":true}]}'),
        ("films", b'{"$and":[{"public":true},{"owner":"ann"}]}'),
    )
    assert find(keys, added) == Grant(key.id, Role.WRITER, "one", None, both, is_attenuated=True)
    full = Grant("u", Role.ADMIN, None, None)
    narrowed = narrow(full, [Caveat(wheres=(("*", OWNER),))])
    assert narrowed is not None
    assert (narrowed.role, narrowed.wheres) == (Role.WRITER, (("*", OWNER),))
    only_books, only_films = Caveat(wheres=(("books", OWNER),)), Caveat(wheres=(("films", OWNER),))
    assert narrow(full, [only_books, only_films]) is None


def test_forgeries(keys: Keys) -> None:
    text, key = keys.create(Role.ADMIN, "one")
    other, _ = keys.create(Role.ADMIN, "one")
    once = attenuate(text, READER)
    twice = attenuate(once, Caveat(expires=2_000_000_000))
    signature = payload_of(twice)[-32:]
    first = payload_of(once)[:-32]
    second = payload_of(twice)[len(first) : -32]
    forgeries = {
        "a caveat is taken off": with_payload(twice, first + signature),
        "the order is another": with_payload(twice, second + first + signature),
        "one is repeated": with_payload(twice, first + first + second + signature),
        "none is left": with_payload(twice, signature),
        "an empty one": with_payload(twice, first + b"\0\0" + signature),
        "a signature is cut": with_payload(once, payload_of(once)[:-1]),
        "the id is another": twice[:2] + other[2:14] + twice[14:],
        "signed by the public id": with_payload(once, first + signature[::-1]),
        "a longer encoding": twice + "A",
        "padded": twice + "=",
        "lower case": twice[:14] + twice[14:].lower(),
        "not base32": "at" + key.id + "1" * 60,
        "nothing": "at" + key.id,
        "as a stored key": "ag" + twice[2:57],
    }
    assert {what for what, forgery in forgeries.items() if find(keys, forgery) is not None} == set()
    payload = payload_of(twice)
    for index in range(len(payload)):
        changed = bytearray(payload)
        changed[index] ^= 1 << index % 8
        assert find(keys, with_payload(twice, bytes(changed))) is None
    assert find(keys, attenuate(text[:-1] + ("a" if text[-1] != "a" else "b"), READER)) is None
    assert find(keys, attenuate("ag" + key.id + key.hash[:43], READER)) is None


@pytest.mark.parametrize(
    "caveat",
    [
        *(b"[]", b"null", b"x", b'{"ip":"::1"}', b'{"role":"reader","ip":"::1"}', b'{"role":"owner"}', b'{"role":1}'),
        *(b'{"tenant":1}', b'{"tenant":null}', b'{"databases":"a"}', b'{"databases":[1]}', b'{"filters":[]}'),
        *(b'{"filters":"a"}', b'{"filters":{}}', b'{"expires":true}', b'{"expires":1.5}', b'{"expires":null}'),
    ],
)
def test_a_caveat_that_is_not_known_makes_the_key_invalid(
    keys: Keys, caveat: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, _ = keys.create(Role.ADMIN, "one")
    with monkeypatch.context() as patched:
        patched.setattr(Caveat, "encode", lambda _: b'{"role":"reader"}')
        assert find(keys, attenuate(text, READER)) is not None
    monkeypatch.setattr(Caveat, "encode", lambda _: caveat)
    assert find(keys, attenuate(text, READER)) is None


def test_an_expired_key_is_refused_though_the_decision_is_cached(stores: Stores, keys: Keys) -> None:
    text, _ = keys.create(Role.ADMIN, "one")
    now = stores.system.now()
    late, soon = (attenuate(text, Caveat(expires=int(now) + seconds)) for seconds in (1_000, -1))
    authenticator = Authenticator([keys], stores.settings, stores.system)
    valid, expired = (Credential(None, one.encode()) for one in (late, soon))
    assert authenticator.authenticate(valid, "a") == authenticator.cached(valid)
    with pytest.raises(Unauthenticated):
        authenticator.authenticate(expired, "a")
    with pytest.raises(Unauthenticated):
        authenticator.cached(expired)


def test_what_cannot_be_attenuated(keys: Keys) -> None:
    text, _ = keys.create(Role.ADMIN, "one")
    with pytest.raises(InvalidArgument, match="needs a condition"):
        attenuate(text, Caveat())
    for wrong in ("", "token", text[:-1], "at" + text[2:14], attenuate(text, READER)[:-1]):
        with pytest.raises(InvalidArgument, match="not an API key"):
            attenuate(wrong, READER)
    with pytest.raises(InvalidArgument, match=f"more than {MAX_CHARACTERS:,} characters"):
        attenuate(text, Caveat(databases=("d" * 2_000,)))
