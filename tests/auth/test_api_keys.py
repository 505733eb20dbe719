"""API keys: how they are made, kept and found."""

import hashlib
import re

import orjson
import pytest

from afterglow.auth import Grant, Role
from afterglow.auth.api_keys import Keys
from afterglow.auth.credentials import Credential
from afterglow.errors import Corrupt, InvalidArgument, NotFound
from afterglow.storage.ports import Stores


def test_a_key_is_found_by_itself_alone(keys: Keys) -> None:
    text, key = keys.create(Role.WRITER, "one", ["db2", "db1", "db1"], "laptop")
    other, _ = keys.create(Role.ADMIN, None)
    assert re.fullmatch("ag[0-9A-Za-z]{55}", text), "old clients take nothing else"
    assert key.grant == Grant(key.id, Role.WRITER, "one", frozenset({"db1", "db2"}))
    assert keys.find(Credential(None, text.encode())) == key.grant
    assert keys.find(Credential(b"whoever", text.encode())) == key.grant
    assert keys.find(Credential(text.encode(), b"")) == key.grant
    swapped = text[:14] + other[14:]
    for wrong in (swapped, text[:-1], text + "x", text.swapcase(), key.id, key.hash, "", "ag" + "0" * 55, "ä" * 57):
        assert keys.find(Credential(None, wrong.encode())) is None
        assert keys.find(Credential(text.encode(), wrong.encode() or b"x")) is None


def test_only_a_hash_is_stored(keys: Keys, stores: Stores) -> None:
    text, key = keys.create(Role.READER, "one")
    (item,) = stores.table.query("KEYS")
    assert text[14:].encode() not in item.value
    assert orjson.loads(item.value)["hash"] == hashlib.sha256(text.encode()).hexdigest() == key.hash


def test_a_key_with_filters(keys: Keys, stores: Stores) -> None:
    wheres = (("*", b'{"public":true}'), ("books", b'{"owner":"ann"}'))
    text, key = keys.create(Role.READER, "one", name="ann", wheres=wheres)
    assert keys.find(Credential(None, text.encode())) == key.grant == Grant(key.id, Role.READER, "one", None, wheres)
    assert keys.list() == [key]
    (item,) = stores.table.query("KEYS")
    assert orjson.loads(item.value)["format"] == 2, "a release that knows no filters refuses it"
    for role, invalid in ((Role.ADMIN, wheres), (Role.READER, ())):
        with pytest.raises(InvalidArgument, match="a key with filters"):
            keys.create(role, "one", wheres=invalid)


def test_keys_of_before_are_read(keys: Keys, stores: Stores) -> None:
    """The stored form of version 1, as it was written by the first release that had keys."""
    text = "ag0123456789ab" + "x" * 43
    stores.table.put(
        "KEYS",
        "0123456789ab",
        b'{"format":1,"hash":"d9c936663613ed2004ffd52fb2b9d4ce55b3bdccccab1cda3e445bd1bb36f0b2",'
        b'"name":"old","role":"reader","tenant":"one","databases":["db1"],"created":1795262400}',
    )
    grant = Grant("0123456789ab", Role.READER, "one", frozenset({"db1"}))
    assert keys.find(Credential(None, text.encode())) == grant
    assert [(key.name, key.created) for key in keys.list()] == [("old", 1795262400)]


@pytest.mark.parametrize("value", [b"", b"[]", b'{"format":2}', b'{"format":1}', b'{"format":1,"role":"king"}'])
def test_a_damaged_key_opens_nothing(keys: Keys, stores: Stores, value: bytes) -> None:
    stores.table.put("KEYS", "0123456789ab", value)
    with pytest.raises(Corrupt, match="key 0123456789ab"):
        keys.find(Credential(None, b"ag0123456789ab" + b"x" * 43))


def test_a_revoked_key_is_gone(keys: Keys) -> None:
    text, key = keys.create(Role.ADMIN, "one", name="first")
    _, second = keys.create(Role.ADMIN, "one", name="second")
    assert {key.name for key in keys.list()} == {"first", "second"}
    assert keys.revoke(key.id) == key
    assert keys.find(Credential(None, text.encode())) is None
    assert [key.id for key in keys.list()] == [second.id]
    for wrong in (key.id, "", "x", "../../../../", text):
        with pytest.raises(NotFound):
            keys.revoke(wrong)


@pytest.mark.parametrize(
    ("tenant", "databases", "name"),
    [
        ("ab", None, ""),
        (None, ["db1"], ""),
        ("one", [], ""),
        ("one", ["a..b"], ""),
        ("one", None, "x" * 101),
        ("one", None, "a\nb"),
    ],
)
def test_invalid_scopes_are_refused(keys: Keys, tenant: str | None, databases: list[str] | None, name: str) -> None:
    with pytest.raises(InvalidArgument):
        keys.create(Role.ADMIN, tenant, databases, name)
    assert keys.list() == []
