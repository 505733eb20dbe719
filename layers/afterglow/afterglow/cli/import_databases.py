"""The other databases of `afterglow import`: --from-qdrant, --from-pgvector, --from-lancedb, --from-s3-vectors."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from afterglow.cli import options
from afterglow.cli.console import EXIT_USAGE, exit_with
from afterglow.errors import InvalidArgument
from afterglow.settings import System

if TYPE_CHECKING:
    from afterglow.bulk.databases.database_source import DatabaseSource
    from afterglow.bulk.databases.s3_vectors import VectorBucket

Opener = Callable[[str], "DatabaseSource"]
_OPTIONS = ("from_qdrant", "from_pgvector", "from_lancedb", "from_s3_vectors")


def add_database_options(parser: argparse.ArgumentParser) -> None:
    """The options that name a database, and its query."""
    parser.add_argument(
        "--from-qdrant",
        metavar="URL",
        help="Instead of files: a Qdrant server, such as http://localhost:6333; its key goes before the host and an @.",
    )
    parser.add_argument(
        "--from-pgvector",
        metavar="DSN",
        help="Instead of files: PostgreSQL with pgvector, such as postgresql://user@host/db.",
    )
    parser.add_argument(
        "--query", metavar="SQL", help="With --from-pgvector and --collection: the rows to import, instead of a table."
    )
    parser.add_argument(
        "--from-lancedb", metavar="DIRECTORY", type=options.parse_path, help="Instead of files: a LanceDB directory."
    )
    parser.add_argument("--from-s3-vectors", metavar="BUCKET", help="Instead of files: a bucket of Amazon S3 Vectors.")


def is_given(args: argparse.Namespace) -> bool:
    """Whether an option names a database."""
    return any(getattr(args, option) is not None for option in _OPTIONS)


def check(args: argparse.Namespace) -> None:
    """Exits with 2 if options do not go together."""
    given = [option for option in _OPTIONS if getattr(args, option) is not None]
    if len(given) > 1 or args.files or args.from_chroma is not None or args.encoding or args.sheet or args.sidecar:
        exit_with(
            "a database cannot be combined with another one, with files, --encoding, --sheet or --sidecar", EXIT_USAGE
        )
    if args.query is not None and (args.from_pgvector is None or args.collection is None):
        exit_with("--query needs --from-pgvector, and --collection for the name of the collection", EXIT_USAGE)


@contextmanager
def open_database(args: argparse.Namespace, system: System) -> "Iterator[tuple[list[str], Opener]]":
    """The names of the collections to import, all unless --collection names one, and what opens each.

    Raises InvalidArgument, NotFound, Unavailable, ImportRejected.
    """
    if args.from_qdrant is not None:
        from afterglow.bulk.databases import qdrant
        from afterglow.bulk.http_connection import HttpConnection

        with closing(HttpConnection(args.from_qdrant, system, key_header=qdrant.KEY_HEADER)) as connection:
            names = [args.collection] if args.collection else qdrant.collections(connection)
            yield names, partial(qdrant.open_collection, connection, embedding=args.embedding)
    elif args.from_pgvector is not None:
        from afterglow.bulk.databases import pgvector

        with closing(pgvector.Postgres(args.from_pgvector)) as postgres:
            if args.query is not None:
                yield [args.collection], partial(pgvector.open_query, postgres, query=args.query)
                return
            names = [args.collection] if args.collection else pgvector.collections(postgres)
            yield names, partial(pgvector.open_table, postgres, embedding=args.embedding)
    elif args.from_lancedb is not None:
        from afterglow.bulk.databases import lancedb

        database, address = lancedb.connect(args.from_lancedb), str(args.from_lancedb.absolute())
        names = [args.collection] if args.collection else lancedb.collections(database)
        yield names, partial(lancedb.open_collection, database, address, embedding=args.embedding)
    else:
        from afterglow.bulk.databases import s3_vectors

        bucket = _vector_bucket(args.from_s3_vectors, system)
        names = [args.collection] if args.collection else bucket.indexes()
        yield names, partial(s3_vectors.open_collection, bucket)


def _vector_bucket(name: str, system: System) -> "VectorBucket":
    try:
        from afterglow.storage.aws.clients import Clients
        from afterglow.storage.aws.vector_bucket import S3VectorBucket
    except ModuleNotFoundError:
        raise InvalidArgument('S3 Vectors needs boto3: pip install "afterglow-db[aws]"') from None
    return S3VectorBucket(Clients(system), name)
