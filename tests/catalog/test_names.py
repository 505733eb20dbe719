import uuid

import pytest

from afterglow.catalog import names
from afterglow.errors import InvalidArgument

ALPHABET_TEXT = (
    "Expected a name containing 3-512 characters from [a-zA-Z0-9._-], "
    "starting and ending with a character in [a-zA-Z0-9]. Got: "
)


@pytest.mark.parametrize(
    "name", ["abc", "a-b", "A.b_c-9", "a" * 512, "1.2.3", "01.2.3.4", "1.2.3.4.5", "256.1.1.1", "aaa+bbb"]
)
def test_good_names(name: str) -> None:
    names.validate_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 513, "-ab", "ab-", "a b", "a/b", "ééééé", "a\x00b", "abc\n", "a" * 2000]
)
def test_names_of_wrong_characters_or_length(name: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        names.validate_name(name)
    assert raised.value.message == ALPHABET_TEXT + name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a..b", "Expected a name that does not contains two consecutive periods (..). Got a..b"),
        ("1.2.3.4", "Expected a name that is not a valid ip address. Got 1.2.3.4"),
        ("aaa+1.2.3.4", "Expected a name that is not a valid ip address. Got 1.2.3.4"),
        ("aaa+b", ALPHABET_TEXT + "b"),
        ("+aaa", ALPHABET_TEXT),
        ("a+b+c", "Expected a name to contain at most one topology:  Got two `+` characters."),
    ],
)
def test_names_of_wrong_form(name: str, text: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        names.validate_name(name)
    assert raised.value.message == text


def test_the_field_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"^Validation error: new_name: Expected a name containing"):
        names.validate_collection_name("a", "new_name")


def test_tenants_need_three_characters() -> None:
    names.validate_tenant_name("ééé")
    with pytest.raises(InvalidArgument) as raised:
        names.validate_tenant_name('a"')
    assert raised.value.message == (
        'Validation error: name: Validation error: length [{"value": String("a\\""), "min": Number(3)}]'
    )


@pytest.mark.parametrize("form", ["{}", "{{{}}}", "urn:uuid:{}"])
def test_collection_ids(form: str) -> None:
    collection_id = uuid.uuid4()
    assert names.parse_collection_id(form.format(collection_id)) == collection_id
    assert names.parse_collection_id(collection_id.hex.upper()) == collection_id


@pytest.mark.parametrize(
    "text", ["", "x", "1" * 31, "1" * 33, "1_1" + "1" * 29, "1" * 31 + "\u0661", "{" + "1" * 32 + "}"]
)
def test_invalid_collection_ids(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^Collection ID is not a valid UUIDv4$"):
        names.parse_collection_id(text)


def test_resource_names() -> None:
    assert names.parse_crn("acme:books:poems") == ("acme", "books", "poems")
    for bad in ("", "a:b", "a:b:", ":b:c", "a:b:c:d"):
        with pytest.raises(InvalidArgument, match=r"^Validation error: crn: CRN must be in the format"):
            names.parse_crn(bad)
