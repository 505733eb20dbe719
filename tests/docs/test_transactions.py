"""docs/transactions.md: its example runs, and its limits are those of the code."""

from afterglow.api.v2 import transactions
from afterglow.collection.write import read_condition
from tests.docs.generated import DOCS
from tests.docs.run_blocks import examples, run_example

PAGE = DOCS / "transactions.md"


def test_the_example() -> None:
    (example,) = examples(PAGE)
    assert run_example(example, {}) == "2 1\n['2']\n"


def test_the_limits() -> None:
    text = PAGE.read_text()
    for limit, what in (
        (transactions.MAX_OPERATIONS, "operations"),
        (transactions.MAX_READ_IDS, "`read_ids`"),
        (transactions.MAX_READ_FILTERS, "`read_filters`"),
        (read_condition.MAX_ENTRIES, "entries"),
    ):
        assert f"{limit:,} {what}" in text
