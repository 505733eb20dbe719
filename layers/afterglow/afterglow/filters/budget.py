"""The size of the filters of one request: conditions, values and patterns, counted while they are parsed.

Parsing stops at the first one too many, so that a filter of a million conditions costs no more than the largest allowed
one.
"""

from dataclasses import dataclass

from afterglow.errors import LimitExceeded

MAX_PATTERN_CHARACTERS = 64 * 1024
"""Characters of all regular expressions of one request: they take about a microsecond each to compile."""

_UNLIMITED = 2**62


@dataclass(slots=True)
class FilterBudget:
    """What the filters of one request may still have.

    `conditions` includes `$and` and `$or`, `values` are those of `$in` and `$nin`, `pattern_characters` those of all
    regular expressions together.
    """

    conditions: int
    values: int
    pattern_characters: int = MAX_PATTERN_CHARACTERS

    def take_condition(self) -> None:
        """Count one condition. Raises LimitExceeded."""
        self.conditions -= 1
        if self.conditions < 0:
            raise LimitExceeded(
                "the filters of the request have too many conditions (AFTERGLOW_MAX_FILTER_CONDITIONS); "
                "use $in for several values of one key, or send several requests"
            )

    def take_values(self, count: int) -> None:
        """Count the values of one `$in` or `$nin`. Raises LimitExceeded."""
        self.values -= count
        if self.values < 0:
            raise LimitExceeded(
                "the filters of the request have too many values in $in and $nin (AFTERGLOW_MAX_FILTER_VALUES); "
                "send several requests"
            )

    def take_pattern(self, characters: int) -> None:
        """Count one regular expression. Raises LimitExceeded."""
        self.pattern_characters -= characters
        if self.pattern_characters < 0:
            raise LimitExceeded(
                f"the regular expressions of the request have more than {MAX_PATTERN_CHARACTERS} characters in all"
            )


def unlimited() -> FilterBudget:
    """A budget for filters that come from this process."""
    return FilterBudget(_UNLIMITED, _UNLIMITED, _UNLIMITED)
