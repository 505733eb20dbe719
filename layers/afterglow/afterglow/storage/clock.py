"""The time of day where a wrong clock would do harm: it ends retention, expires records and purges what was dropped.

A machine's clock may be set days ahead or behind. A store in the cloud has a clock of its own, and every response
names its time. So what must not come too early goes by the earlier of the two clocks (`earliest_now`), and what starts
a period is dated by the later one (`latest_now`): one wrong clock can only make a period longer. A local directory has
no second clock; there `jobs.clock_watch` notices a jump.
"""

from afterglow.settings import System
from afterglow.storage.ports import Table


def earliest_now(table: Table, system: System) -> float:
    """Unix seconds, not later than the time of day by either clock."""
    stored = table.time()
    return system.now() if stored is None else min(system.now(), stored)


def latest_now(table: Table, system: System) -> float:
    """Unix seconds, not earlier than the time of day by either clock at the last response of the table."""
    stored = table.time()
    return system.now() if stored is None else max(system.now(), stored)
