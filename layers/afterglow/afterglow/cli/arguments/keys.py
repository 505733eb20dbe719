"""The API keys: `keys create`, `keys list` and `keys revoke`."""

import argparse

from afterglow.cli.arguments import shared
from afterglow.cli.failures import settings


def create(given: argparse.Namespace) -> None:
    """Make a key and print it: it is shown this once, and kept only as a hash."""
    from afterglow.cli import keys

    tenant = None if given.tenant == "*" else given.tenant
    found = settings(aws=given.aws)
    keys.create(shared.where(given), found, given.role, tenant=tenant, databases=given.database, name=given.name)


def create_arguments(sub: argparse.ArgumentParser) -> None:
    """What `keys create` takes."""
    sub.add_argument(
        "--role",
        choices=["admin", "writer", "reader"],
        default="admin",
        help="A reader reads, a writer also writes records and makes collections, an admin also makes databases.",
    )
    sub.add_argument(
        "--tenant", default="default_tenant", help="Tenant that the key is for; '*' for all, and for making tenants."
    )
    sub.add_argument(
        "--database",
        action="append",
        default=argparse.SUPPRESS,
        help="Database that the key is for, as often as needed; all of the tenant without it.",
    )
    sub.add_argument("--name", default=argparse.SUPPRESS, help="What to call it in the list.")
    sub.set_defaults(database=None, name="")
    show_arguments(sub)


def show(given: argparse.Namespace) -> None:
    """Print every key's id, role, scope, time and name."""
    from afterglow.cli import keys

    keys.show(shared.where(given), settings(aws=given.aws))


def show_arguments(sub: argparse.ArgumentParser) -> None:
    """What `keys list` takes."""
    shared.place(sub, "Directory that holds the data.")


def revoke(given: argparse.Namespace) -> None:
    """Remove a key: servers refuse it within AFTERGLOW_AUTH_CACHE_SECONDS."""
    from afterglow.cli import keys

    keys.revoke(shared.where(given), settings(aws=given.aws), given.id)


def revoke_arguments(sub: argparse.ArgumentParser) -> None:
    """What `keys revoke` takes."""
    sub.add_argument("id", help="Id of the key, as in the list.")
    show_arguments(sub)
