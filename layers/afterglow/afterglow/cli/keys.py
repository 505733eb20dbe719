"""`afterglow keys create|list|attenuate|revoke`: API keys, stored in the table of a data directory or an AWS account.

These commands open the table directly and need no key themselves: whoever can write the table is the owner, so the
first key of a deployment is created like any other. Servers may run meanwhile; they accept a new key at once.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from afterglow.cli import options
from afterglow.cli.console import echo, notice, print_table
from afterglow.errors import NotFound
from afterglow.settings import System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterglow.auth.api_keys import Key
    from afterglow.auth.permissions import Wheres
    from afterglow.storage.ports import Stores

_LONGEST_SECONDS = 100 * 365 * 86_400
_HEADINGS = ("ID", "ROLE", "TENANT", "DATABASES", "FILTERS", "CREATED", "NAME")


def add_create_options(parser: argparse.ArgumentParser) -> None:
    """The options of `keys create`."""
    parser.add_argument(
        "--role",
        choices=["admin", "writer", "reader"],
        default="admin",
        help="reader: read records. writer: also write records and create collections. admin: also create databases.",
    )
    parser.add_argument(
        "--tenant",
        default=options.DEFAULT_TENANT,
        help="Tenant the key gives access to; '*' for every tenant, and for creating tenants.",
    )
    parser.add_argument(
        "--database",
        action="append",
        help="Database the key gives access to; may be repeated. Without it, every database of the tenant.",
    )
    parser.add_argument(
        "--where",
        action="append",
        metavar="COLLECTION=FILTER",
        help="Limits the key to the records of a collection that match a where clause (JSON); '*' stands for every"
        " other collection. May be repeated; collections without a filter are then hidden from the key.",
    )
    parser.add_argument("--name", default="", help="A label for the key, shown by `keys list`.")
    options.add_deployment(parser)


def create(args: argparse.Namespace) -> None:
    """Create an API key and print it. It is shown only once; only its hash is stored."""
    from afterglow.auth import Role
    from afterglow.auth.api_keys import Keys
    from afterglow.deployment.open import open_stores

    system, settings = System(), options.load_settings(aws=args.aws)
    path = options.data_path(args, settings)
    if path is not None:
        _require_directory(path)
    tenant = None if args.tenant == "*" else args.tenant
    wheres = None if args.where is None else _parse_wheres(args.where)
    with open_stores(path, settings, system) as stores:
        _require_scope(stores, tenant, args.database or [])
        text, key = Keys(stores.table, system).create(Role[args.role.upper()], tenant, args.database, args.name, wheres)
    # Only the key goes to standard output, so that a script can capture it.
    echo(text)
    notice(f"key {key.id} created; it is not shown again. To revoke it: afterglow keys revoke {key.id}")


def _require_directory(path: Path) -> None:
    """Raise NotFound unless the path is a data directory or empty.

    With an empty one a server can require keys from its first start; a misspelt path gets no data.
    """
    from afterglow.deployment.local import require_data_directory

    if not path.is_dir():
        raise NotFound(f"{path}: no such directory; to use it for a new server, create it first")
    if any(path.iterdir()):
        require_data_directory(path)


def _require_scope(stores: "Stores", tenant: str | None, databases: list[str]) -> None:
    """Raise NotFound if the tenant or one of its databases does not exist; a key for it would open nothing."""
    from afterglow.catalog import Catalog

    catalog = Catalog(stores.table, stores.system)
    catalog.ensure_defaults()
    if tenant is None:
        return
    if tenant not in catalog.list_tenants():
        raise NotFound(f"no tenant {tenant!r}; create it first")
    for database in databases:
        if catalog.find_database(tenant, database) is None:
            raise NotFound(f"no database {database!r} in tenant {tenant!r}; create it first")


def list_keys(args: argparse.Namespace) -> None:
    """List the id, role, scope, filters, creation time and name of every API key."""
    from afterglow.auth.api_keys import Keys

    with options.open_existing(args) as stores:
        rows = list(map(_row, Keys(stores.table, stores.system).list()))
    print_table(_HEADINGS, rows)


def add_attenuate_options(parser: argparse.ArgumentParser) -> None:
    """The options of `keys attenuate`."""
    parser.add_argument("key", help="The key, stored or attenuated; `-` reads it from standard input.")
    parser.add_argument("--role", choices=["writer", "reader"], help="At most this role.")
    parser.add_argument("--tenant", help="Only this tenant.")
    parser.add_argument("--database", action="append", help="Only this database; may be repeated.")
    parser.add_argument(
        "--where",
        action="append",
        metavar="COLLECTION=FILTER",
        help="Only these records, of those that the key sees; as for `keys create`. May be repeated.",
    )
    parser.add_argument("--expires-in", type=float, metavar="SECONDS", help="Lifetime of the key, in seconds.")


def attenuate(args: argparse.Namespace) -> None:
    """Print a key with fewer rights or a shorter life than the given one. No server is needed, nothing is stored."""
    import sys

    from afterglow.auth import Role
    from afterglow.auth.attenuation import Caveat
    from afterglow.auth.attenuation import attenuate as attenuate_key
    from afterglow.errors import InvalidArgument

    expires = None
    if args.expires_in is not None:
        if not 1 <= args.expires_in <= _LONGEST_SECONDS:
            raise InvalidArgument("--expires-in is a number of seconds, from 1 to those of a hundred years")
        expires = int(System().now() + args.expires_in)
    caveat = Caveat(
        role=None if args.role is None else Role[args.role.upper()],
        tenant=args.tenant,
        databases=None if args.database is None else tuple(sorted(set(args.database))),
        wheres=None if args.where is None else _parse_wheres(args.where),
        expires=expires,
    )
    echo(attenuate_key(sys.stdin.readline().strip() if args.key == "-" else args.key, caveat))


def add_revoke_options(parser: argparse.ArgumentParser) -> None:
    """The options of `keys revoke`."""
    parser.add_argument("id", help="Id of the key, as shown by `keys list`.")
    options.add_deployment(parser)


def revoke(args: argparse.Namespace) -> None:
    """Revoke an API key. Servers reject it after AFTERGLOW_AUTH_CACHE_SECONDS at the latest."""
    from afterglow.auth.api_keys import Keys

    with options.open_existing(args) as stores:
        Keys(stores.table, stores.system).revoke(args.id)
        seconds = stores.settings.auth_cache_seconds
    echo(f"revoked; servers reject the key within {seconds:g} seconds")


def _parse_wheres(texts: "Sequence[str]") -> "Wheres":
    from afterglow.collection import restriction
    from afterglow.errors import InvalidArgument

    wheres: dict[str, bytes] = {}
    for text in texts:
        name, equals, where = text.partition("=")
        if not equals or not name or name in wheres:
            raise InvalidArgument(f"--where has the form COLLECTION=FILTER, once for each collection, got {text!r}")
        try:
            restriction.check_where(where.encode())
        except InvalidArgument as error:
            raise InvalidArgument(f"--where of {name}: {error.message}") from None
        wheres[name] = where.encode()
    return tuple(sorted(wheres.items()))


def _row(key: "Key") -> tuple[str, ...]:
    return (
        key.id,
        key.role.name.lower(),
        "*" if key.tenant is None else key.tenant,
        "*" if key.databases is None else ",".join(key.databases),
        "" if key.wheres is None else " ".join(f"{name}={where.decode()}" for name, where in key.wheres),
        datetime.fromtimestamp(key.created, UTC).strftime("%Y-%m-%d %H:%M"),
        key.name,
    )
