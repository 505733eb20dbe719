"""`afterglow keys`: the API keys of a data directory or an account, straight in its table.

May run beside servers of the same, which know a new key at once. It needs no key itself: whoever may write the table is
the owner, so the first key of a deployment is made like any other.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from afterglow.auth import Role
from afterglow.auth.api_keys import Key, Keys
from afterglow.cli.lines import echo
from afterglow.cli.run import usable_directory
from afterglow.deployment.local import require_data_directory
from afterglow.deployment.open import open_stores
from afterglow.settings import Settings, System

_HEADINGS = ("ID", "ROLE", "TENANT", "DATABASES", "CREATED", "NAME")


def create(
    path: Path | None, settings: Settings, role: str, *, tenant: str | None, databases: list[str] | None, name: str
) -> None:
    """Makes a key in the directory, or (None) in the AWS account; the key alone on standard output.

    The directory is made where it is not there, so that a server can be started closed. Raises InvalidArgument.
    """
    where = None if path is None else usable_directory(path)
    with _kept(where, settings) as keys:
        text, key = keys.create(Role[role.upper()], tenant, databases, name)
    echo(text)
    sys.stderr.write(f"afterglow: key {key.id} made; it is not shown again, and `afterglow keys revoke` ends it\n")


def show(path: Path | None, settings: Settings) -> None:
    """Prints a table of the keys, oldest first. Raises NotFound."""
    with _kept(path and require_data_directory(path), settings) as keys:
        rows = [_HEADINGS, *map(_row, keys.list())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def revoke(path: Path | None, settings: Settings, identifier: str) -> None:
    """Removes a key. Raises NotFound."""
    with _kept(path and require_data_directory(path), settings) as keys:
        keys.revoke(identifier)
    sys.stdout.write(f"revoked; servers refuse it within {settings.auth_cache_seconds:g} seconds\n")


@contextmanager
def _kept(path: Path | None, settings: Settings) -> Iterator[Keys]:
    system = System()
    with open_stores(path, settings, system) as stores:
        yield Keys(stores.table, system)


def _row(key: Key) -> tuple[str, ...]:
    return (
        key.id,
        key.role.name.lower(),
        "*" if key.tenant is None else key.tenant,
        "*" if key.databases is None else ",".join(key.databases),
        datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%d %H:%M"),
        key.name,
    )
