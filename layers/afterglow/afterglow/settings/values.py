"""One value of a setting: parsed from the text of a variable, or checked as a file has it."""

from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TypeAlias

from afterglow.settings.model import Settings

Scalar: TypeAlias = int | float | bool | str

TYPES: dict[str, type] = {setting.name: type(setting.default) for setting in fields(Settings)}
"""The type of each setting: int, float, bool or str."""
_LEAST_SIMILARITY = 0.7  # by difflib: `auht` is 0.75 similar to `auth`
_BOOLEANS = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a setting, and where it comes from: the name of a variable, or the path of a file."""

    value: Scalar
    source: str


def parse(label: str, text: str, value_type: type) -> Scalar:
    """The value that a variable's text means. Raises ValueError, which names `label`, if it means none."""
    if value_type is str:
        return text
    try:
        value = _BOOLEANS[text.lower()] if value_type is bool else value_type(text)
    except (KeyError, ValueError):
        raise _mismatch(label, text, value_type) from None
    return _in_range(label, value, text)


def check(label: str, found: object, value_type: type) -> Scalar:
    """The value that a file has, as `value_type`; a list of texts becomes a text with commas. Raises ValueError."""
    if value_type is str and isinstance(found, list) and all(isinstance(text, str) for text in found):
        return ",".join(found)
    if value_type is float and type(found) is int:
        found = float(found)
    if type(found) is not value_type or not isinstance(found, int | float | bool | str):
        raise _mismatch(label, found, value_type)
    return _in_range(label, found, found)


def nearest_setting(name: str) -> str | None:
    """The setting that a misspelt name means, if one is near."""
    near = get_close_matches(name.lower(), TYPES, 1, cutoff=_LEAST_SIMILARITY)
    return near[0] if near else None


def _mismatch(label: str, found: object, value_type: type) -> ValueError:
    return ValueError(f"{label} must be {_EXPECTED[value_type]}, got {found!r}")


def _in_range(label: str, value: Scalar, found: object) -> Scalar:
    if not isinstance(value, str) and not 0 <= value < float("inf"):
        raise ValueError(f"{label} must be neither negative nor infinite, got {found!r}")
    return value
