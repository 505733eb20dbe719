"""The process's limit of open files, and how the server shares it out.

::

    limit                   the soft limit, raised to the hard one at the start
    ├── the process         standard streams, event loop, listening sockets, pipes to the indexer
    ├── threads             two files of the table each, and one object that is being read or written
    ├── refused clients     up to `MAX_REFUSED` connections that still read their 503
    └── connections         the rest, at most `max_connections`

Open collections need no descriptors in a data directory (`storage.file_map`). In an account each downloaded file needs
one, and at the limit other collections are closed (`collection.read.reader`).
"""

import resource
from dataclasses import dataclass

MAX_FILES = 65_536
MAX_REFUSED = 64
_PROCESS = 32
_PER_THREAD = 3
_LIMIT_PER_THREAD = 16
_MIN_THREADS = 2
_MIN_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class FileShares:
    """The numbers of threads and connections for which the limit suffices."""

    threads: int
    connections: int


def raise_limit() -> int:
    """Raise the limit to the hard one, at most `MAX_FILES`, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_FILES
    highest = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft < highest:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        return highest
    return soft


def share(limit: int, threads: int, connections: int) -> FileShares:
    """At most `threads` and `connections`, fewer if the limit is low."""
    threads = max(_MIN_THREADS, min(threads, limit // _LIMIT_PER_THREAD))
    rest = limit - _PROCESS - _PER_THREAD * threads
    # As many connections may be refused as served, up to `MAX_REFUSED`.
    most = max(_MIN_CONNECTIONS, rest - MAX_REFUSED, min(rest // 2, MAX_REFUSED))
    return FileShares(threads, min(connections, most))
