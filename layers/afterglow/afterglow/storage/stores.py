"""What most rooms work with: the ports, the settings, the clock and randomness."""

from dataclasses import dataclass

from afterglow.settings import Ambient, Settings
from afterglow.storage.ports import Objects, Queue, Table


@dataclass(frozen=True, slots=True)
class Stores:
    """One deployment's stores."""

    table: Table
    objects: Objects
    queue: Queue
    settings: Settings
    ambient: Ambient
