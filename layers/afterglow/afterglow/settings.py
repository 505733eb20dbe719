"""What a process takes from outside itself: the environment, the clock, randomness. Read here, passed down from here.

Tests pass their own `Settings` and `Ambient` instead of patching.
"""

import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from random import Random, SystemRandom

PREFIX = "AFTERGLOW_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set, with the default for one local process; `ON_AWS` says what differs there.

    Each field is also an environment variable: `flush_ops` is `AFTERGLOW_FLUSH_OPS`.
    """

    max_batch_size: int = 5461
    """Records a client may send in one write, advertised by pre-flight."""
    max_body_bytes: int = 40 * 1024 * 1024
    """A larger request body is answered 413."""
    max_response_bytes: int = 0
    """A larger answer, as it leaves, is answered 413 instead; 0: there is no limit."""
    compress_min_bytes: int = 0
    """An answer from this size on is compressed where the client accepts it; 0: none is."""
    log_inline_max_bytes: int = 32 * 1024
    """A larger batch goes to an object, and only a pointer to it into the log."""
    flush_ops: int = 8_192
    """Operations in the unindexed tail at which it is folded at once."""
    flush_bytes: int = 32 * 1024 * 1024
    """Bytes of log entries in the tail at which it is folded at once."""
    flush_idle_seconds: float = 2.0
    """A smaller tail is folded when the collection was not written for this long."""
    notify_every_ops: int = 1
    """The indexer is told of a write that brings the operations of the log past a multiple of this."""
    notify_every_entries: int = 1
    """The indexer is told of every so many-th entry of the log."""
    max_segment_vector_bytes: int = 0
    """The most bytes of vectors that segments may have together to be merged into one; 0: there is no limit."""
    compaction_memory_bytes: int = 2 * 1024**3
    """Memory for a merge: what is estimated to need more becomes several segments, each with a graph of its own."""
    max_unflushed_ops: int = 400_000
    """Operations in the tail at which writes answer 429 until the indexer has caught up."""
    hnsw_min_rows: int = 4_096
    """Rows from which a segment carries an HNSW graph; below it exact search is as fast."""
    exact_search_max_rows: int = 10_000
    """Rows that a filter may leave for exact scoring, at 384 dimensions; scaled by dimension."""
    compaction_threads: int = 2
    """Threads that insert into a graph."""
    gc_grace_seconds: float = 40.0
    """How long an object that no manifest names is kept."""
    log_placeholder_ttl_seconds: int = 7 * 24 * 3600
    """How long a folded log slot, and the fence of a dropped collection, keeps slow writers out."""
    retention_seconds: float = 7 * 24 * 3600.0
    """How far back a collection can be read and restored, a dropped one too; 0: not at all."""
    ttl_sweep_seconds: float = 60.0
    """How often a process with an indexer of its own looks for expired records to delete."""
    scrub_max_bytes: int = 20 * 1024**3
    """On AWS: bytes of segments whose checksums the janitor compares in one run."""
    log_end_cache_seconds: float = 3600.0
    """A writer whose knowledge of the log's end is older reads the log before it appends; at most half the fence."""
    max_open_collections: int = 256
    """Collections kept open in memory, at most."""
    max_memtable_bytes: int = 0
    """Bytes of unindexed tails kept in memory, all collections together; 0: there is no limit."""
    import_max_rejected_rows: int = 1_000
    """Rows of an import that may be rejected; one more stops it."""
    import_max_line_bytes: int = 16 * 1024 * 1024
    """A longer line of an imported file is rejected."""
    import_max_decompression_ratio: int = 100
    """How many times its size an imported file may expand to; it may expand to 64 MB in any case."""
    import_memory_bytes: int = 2 * 1024**3
    """Memory in which a Parquet file is decoded; about four times the embeddings of a row group."""
    import_range_bytes: int = 64 * 1024 * 1024
    """An imported file that can be split is split into ranges of about so many bytes."""
    import_max_attempts: int = 3
    """On AWS: how often the importer's queue delivers a message before it is a dead letter."""
    import_report_ttl_seconds: int = 30 * 24 * 3600
    """How long the receipt of an import is kept, by which the same file is known again."""
    allow_reset: bool = False
    """Whether clients may delete everything by the reset call; `--allow-reset` says so too."""
    table: str = ""
    """On AWS: the DynamoDB table."""
    bucket: str = ""
    """On AWS: the S3 bucket."""
    queue: str = ""
    """On AWS: the URL of the SQS queue of the indexer; without it `afterglow run --aws` indexes by itself."""
    import_queue: str = ""
    """On AWS: the URL of the SQS queue of the importer."""
    cache_dir: str = "/tmp/afterglow"  # noqa: S108  all that a function may write to; nothing there is trusted unchecked
    """On AWS: the directory that segments are downloaded to."""
    cache_max_bytes: int = 0
    """On AWS: bytes of segments kept there; 0: four fifths of the file system it is on."""
    verify_checksums: bool = True
    """Whether opening a segment reads it whole to compare checksums."""
    auth: str = "off"
    """Who may call: `off` is everybody; or `keys`, `htpasswd`, `token`, or several of them with commas between."""
    auth_file: str = ""
    """For `htpasswd`: the file of users and hashed passwords, as the program of that name writes it."""
    auth_token: str = field(default="", repr=False)
    """For `token`: the one token."""
    api_key: str = field(default="", repr=False)
    """For commands that are given a server's `--url`: the key that they show."""
    auth_cache_seconds: float = 60.0
    """How long a credential is trusted without being looked up again: a revoked one is refused no later than that."""
    auth_attempts_per_minute: int = 30
    """Credentials not known here that an address may try in a minute; more are answered 429. 0: there is no limit."""
    max_connections: int = 1000
    """Open connections per process; one more is answered 503."""
    max_inflight_body_bytes: int = 128 * 1024 * 1024
    """Bytes of request bodies held at once per process; further large requests wait their turn."""
    max_request_line_bytes: int = 16 * 1024
    """A longer request line is answered 414."""
    max_header_bytes: int = 64 * 1024
    """Larger headers, all together, are answered 431."""
    client_timeout_seconds: float = 30.0
    """Time a client has to finish its headers; and over which a body must average 1 KiB/s. Else it is answered 408."""
    keep_alive_seconds: float = 75.0
    """How long an idle connection is kept."""
    shutdown_seconds: float = 10.0
    """Time requests in flight get to finish when the process is told to stop."""


AWS_DEFAULTS = Settings(
    # Written and trimmed, a KB of an entry costs two write units; an object costs as much as eight of them.
    log_inline_max_bytes=16 * 1024,
    notify_every_ops=2_048,
    notify_every_entries=64,
    flush_idle_seconds=60.0,
    # Inserting 768 MB of vectors takes about 6 minutes of the 15 that a function has.
    max_segment_vector_bytes=768 * 1024 * 1024,
    # Of the 3008 MB that an indexer has by default.
    compaction_memory_bytes=3 * 1024**3 // 2,
    max_unflushed_ops=100_000,
    # Nothing keeps two indexers apart for certain: this is longer than any of them may run.
    gc_grace_seconds=3600.0,
    max_memtable_bytes=256 * 1024 * 1024,
    # It reads the state of every collection.
    ttl_sweep_seconds=3600.0,
)
"""The defaults with AWS behind: what its limits and prices make of the figures."""

LAMBDA_DEFAULTS = replace(
    AWS_DEFAULTS,
    # A request and an answer of a function have at most 6 MB; 300 records in 3,072 dimensions fit, in base64.
    max_batch_size=300,
    max_body_bytes=6 * 1024 * 1024 - 64 * 1024,
    max_response_bytes=6 * 1024 * 1024 - 64 * 1024,
    compress_min_bytes=16 * 1024,
    # The address of an API is known to whoever asks the DNS.
    auth="keys",
)
"""The defaults inside a Lambda function."""


def from_environment(environ: Mapping[str, str] = os.environ, defaults: Settings = Settings()) -> Settings:
    """`defaults` with what `environ` overrides. Raises ValueError naming the variable that cannot be read."""
    given: dict[str, int | float | bool | str] = {**_chroma_auth_variables(environ)}
    for each in fields(Settings):
        name = PREFIX + each.name.upper()
        if name in environ:
            given[each.name] = _value(name, environ[name], type(each.default))
    return replace(defaults, **given)  # type: ignore[arg-type]


def _value(name: str, text: str, kind: type) -> int | float | bool | str:
    if kind is str:
        return text
    try:
        if kind is bool:
            return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
        value = int(text) if kind is int else float(text)
    except (KeyError, ValueError):
        wanted = {bool: "true or false", int: "a whole number"}.get(kind, "a number")
        raise ValueError(f"{name} must be {wanted}, got {text!r}") from None
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be neither negative nor infinite, got {text!r}")
    return value


def _chroma_auth_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """What Chroma's own variables ask for, by its names of 0.4 and of 0.5: who sets them must not get an open server.

    Which header carries a token need not be told: both are read. Raises ValueError.
    """

    def value(name: str) -> tuple[str, str]:
        given = [each for each in (f"CHROMA_SERVER_AUTHN_{name}", f"CHROMA_SERVER_AUTH_{name}") if environ.get(each)]
        return (given[0], environ[given[0]]) if given else (f"CHROMA_SERVER_AUTHN_{name}", "")

    name, provider = value("PROVIDER")
    if not provider or PREFIX + "AUTH" in environ:
        return {}
    kind = provider.rpartition(".")[2]
    if kind.startswith("Basic"):
        source, file = value("CREDENTIALS_FILE")
        if not file:
            raise ValueError(f"{name} asks for passwords, but {source} is not set")
        return {"auth": "htpasswd", "auth_file": file}
    if kind.startswith("Token"):
        source, token = value("CREDENTIALS")
        if not token:
            raise ValueError(f"{name} asks for a token, but {source} is not set")
        return {"auth": "token", "auth_token": token}
    raise ValueError(f"{name} must name a Basic or a Token provider, got {provider!r}; or set AFTERGLOW_AUTH")


def tracing_enabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the stack says that this function's requests are traced."""
    return environ.get("POWERTOOLS_TRACE_DISABLED", "true").lower() in {"false", "0"}


def limit_blas_threads() -> None:
    """Keeps numpy's matrix products on the thread that asks for them, unless the environment says otherwise.

    Requests run side by side already; a second pool of threads only fights them for the cores, and takes time to start.
    To be called before numpy is imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a process of our own: as ours, with numpy held to one thread.

    Large arrays get maps of their own, which go back to the system when they are freed: glibc otherwise begins to keep
    them on its heap, and what an indexer needed for one step it would hold through the next.
    """
    return {"OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_ARENA_MAX": "2", **environ}


@dataclass(frozen=True, slots=True)
class System:
    """The clock and randomness."""

    now: Callable[[], float] = time.time
    """Unix seconds."""
    sleep: Callable[[float], None] = time.sleep
    random: Random = field(default_factory=SystemRandom)

    def new_id(self) -> uuid.UUID:
        """A random version 4 UUID."""
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    def nonce(self) -> str:
        """96 random bits in hex: tells one attempt at a write from every other."""
        return f"{self.random.getrandbits(96):024x}"
