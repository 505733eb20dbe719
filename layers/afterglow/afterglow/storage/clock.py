"""The time of day where a wrong clock would do harm: it ends retention, expires records and purges what was dropped.

A machine's clock may be set days ahead or behind. A store in the cloud has a clock of its own, and every response
names its time. So what must not come too early goes by the earlier of the two clocks (`earliest_now`), and what starts
a period is dated by the later one (`latest_now`): one wrong clock can only make a period longer. A local directory has
no second clock; there `jobs.clock_watch` notices a jump.

What is written is dated by the clock of the process, as that of the store has a resolution of a second; but a clock
that is ahead of the store's must not take the log's time with it (`writing_now`).
"""

from afterglow.settings import System
from afterglow.storage.ports import Table

_LEAD_SECONDS = 2.0
"""The store's time is rounded down to a second, and is a little late when its response arrives."""


def earliest_now(table: Table, system: System) -> float:
    """Unix seconds, not later than the time of day by either clock."""
    stored = table.time()
    return system.now() if stored is None else min(system.now(), stored)


def latest_now(table: Table, system: System) -> float:
    """Unix seconds, not earlier than the time of day by either clock at the last response of the table."""
    stored = table.time()
    return system.now() if stored is None else max(system.now(), stored)


def writing_now(table: Table, system: System) -> float:
    """Unix seconds by the clock of the process, hardly later than the time of day by that of the store."""
    stored = table.time()
    return system.now() if stored is None else min(system.now(), stored + _LEAD_SECONDS)
