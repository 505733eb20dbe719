"""docs/transactions.md: its examples run, and its limits are those of the code."""

from afterglow.api.models.transactions import MAX_COLLECTIONS
from afterglow.api.v2 import transactions
from afterglow.collection.write import read_condition
from tests.docs.generated import DOCS
from tests.docs.run_blocks import examples, run_example

PAGE = DOCS / "transactions.md"


def test_the_examples() -> None:
    outputs = [run_example(example, {}) for example in examples(PAGE)]
    assert outputs == ["2 1\n['2']\n", "['a', 'c']\n", "2 [{'left': 0}]\n"]


def test_the_limits() -> None:
    text = PAGE.read_text()
    for limit, what in (
        (transactions.MAX_OPERATIONS, "operations"),
        (transactions.MAX_READ_IDS, "`read_ids`"),
        (transactions.MAX_READ_FILTERS, "`read_filters` and `read_queries`"),
        (read_condition.MAX_ENTRIES, "entries"),
        (MAX_COLLECTIONS, "collections of that database"),
    ):
        assert f"{limit:,} {what}" in text
