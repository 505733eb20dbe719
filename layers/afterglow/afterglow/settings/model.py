"""The settings of a process, with their defaults for a data directory."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

PREFIX = "AFTERGLOW_"
ANY_ORIGIN = "*"
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#,@]+")


class Index(StrEnum):
    """The vector index of new segments."""

    AUTO = "auto"
    GRAPH = "graph"
    LISTS = "lists"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, with the defaults for a local process; `settings.defaults` has those for AWS.

    Every field can be set by an environment variable, `flush_ops` by `AFTERGLOW_FLUSH_OPS`, and by its name in the
    settings file.
    """

    path: str = "data"
    """Data directory of commands without `--path`, relative to the working directory."""
    host: str = "127.0.0.1"
    """Address that `afterglow run` listens on; 0.0.0.0 listens on every network interface."""
    port: int = 8000
    """Port that `afterglow run` listens on; 0 picks a free port."""
    workers: int = 1
    """Number of server processes of `afterglow run`; one per CPU core is plenty."""
    max_batch_size: int = 5461
    """Maximum records in one write request; clients read it from `/pre-flight-checks`."""
    max_body_bytes: int = 128 * 1024 * 1024
    """Maximum size of a request body; a larger one gets 413. `max_batch_size` records of 4,096 dimensions fit."""
    max_query_vectors: int = 10_000
    """Maximum vectors, or texts, in one query; more get 422."""
    max_filter_conditions: int = 4_096
    """Maximum conditions in the filters of one request, `$and` and `$or` included; more get 422."""
    max_filter_values: int = 100_000
    """Maximum values of `$in` and `$nin` in the filters of one request; more get 422."""
    max_read_seconds: float = 10.0
    """Maximum estimated time of one read on one core; a longer one gets 422. The estimate depends on the vectors,
    conditions and ranks and on the size of the collection. One vector with 16 conditions is always allowed."""
    max_result_bytes: int = 512 * 1024 * 1024
    """Maximum memory for the records that one read returns and for their response, estimated before they are read: a
    text takes twice its size, a record some hundred bytes more. A larger read gets 413. 0: no limit."""
    max_response_bytes: int = 0
    """Maximum size of a response, after compression; a larger one is replaced by 413. 0: no limit."""
    compress_min_bytes: int = 0
    """Compress responses of at least this size when the client accepts it. 0: never compress."""
    log_inline_max_bytes: int = 32 * 1024
    """Largest batch stored inside its log entry; a larger batch becomes an object that the entry refers to."""
    flush_ops: int = 8_192
    """Flush the log into a segment as soon as this many operations are unflushed."""
    flush_bytes: int = 32 * 1024 * 1024
    """Flush the log into a segment as soon as its unflushed entries have this many bytes."""
    flush_idle_seconds: float = 2.0
    """Flush a smaller log once the collection has not been written to for this long."""
    notify_every_ops: int = 1
    """Notify the indexer every N operations of a collection's log."""
    notify_every_entries: int = 1
    """Notify the indexer every N entries of a collection's log (an entry is one write request)."""
    max_segment_vector_bytes: int = 0
    """Maximum bytes of vectors in a segment that compaction creates with a graph; with lists, three times as many.
    0: no limit."""
    compaction_memory_bytes: int = 2 * 1024**3
    """Memory budget of one compaction; inputs estimated to need more are compacted into several segments."""
    max_unflushed_ops: int = 400_000
    """Backpressure: with this many unflushed operations in a collection, its writes get 429."""
    slow_writes_ops: int = 400_000
    """Backpressure: while more operations of a collection wait for an index, the answers to its writes take up to two
    seconds longer, so that a loop of writes does not outrun the indexer of its server. While the collection is
    searched, too, a fifth of it counts. 0: never."""
    hnsw_min_rows: int = 4_096
    """Build a vector index for segments of at least this many rows; smaller ones are searched exactly."""
    index: str = "auto"
    """The vector index of new segments: `graph` (HNSW), `lists` (clusters of rows; a query reads a few), or `auto`:
    lists from LISTS_MIN_ROWS rows on."""
    lists_min_rows: int = 131_072
    """With INDEX `auto`: segments of at least this many rows get lists, smaller ones a graph."""
    recall_target: float = 0.98
    """The share of the true nearest neighbours that queries must find on average: above 0, at most 1. How much of an
    index that takes is measured when it is built."""
    recall_sample: float = 0.0
    """On a server: the share of queries, from 0 to 1, that are answered a second time by exact search to measure their
    true recall (`afterglow_recall_neighbors`). Takes at most a tenth of a core, and reads all vectors."""
    exact_search_max_rows: int = 10_000
    """Search exactly instead of by HNSW when a filter leaves at most this many rows. The number is for 384
    dimensions; it is in inverse proportion to the dimension."""
    compaction_threads: int = 2
    """Threads that build one HNSW index."""
    gc_grace_seconds: float = 40.0
    """Minimum age of an unreferenced object before garbage collection deletes it."""
    log_seal_ttl_seconds: int = 7 * 24 * 3600
    """Lifetime of the seal that ends a dropped collection's log and rejects delayed writers."""
    garbage_collection: bool = True
    """Delete unreferenced objects. Disable it while two tables reference one bucket, as during a recovery."""
    retention_seconds: float = 7 * 24 * 3600.0
    """How far back time travel, forks and restores can reach; also how long dropped collections can be restored. 0:
    disabled."""
    retention_bytes: int = 1024**3
    """Past states of a collection may take as many bytes as its current state, or this many if that is more. Older ones
    are deleted, even within RETENTION_SECONDS."""
    erase_seconds: float = 24 * 3600.0
    """Deadline of an erasure: by then no object and no log entry contains the records. `verify` reports a missed
    deadline."""
    ttl_sweep_seconds: float = 60.0
    """Interval at which a process that runs its own indexer deletes records past their TTL."""
    scrub_max_bytes: int = 20 * 1024**3
    """On AWS: bytes of segments whose checksums one run of the maintenance job verifies."""
    log_end_cache_seconds: float = 3600.0
    """How long a writer may append by its cached end of the log without reading the log first; at most half of
    LOG_SEAL_TTL_SECONDS is used."""
    max_open_collections: int = 256
    """Maximum collections kept open in memory; the least recently used are closed."""
    max_memtable_bytes: int = 0
    """Maximum memory for memtables (unflushed rows) of all open collections together; the least recently used are
    evicted. 0: no limit."""
    import_max_rejected_rows: int = 1_000
    """Rows of an import that may be rejected; one more stops the import."""
    import_max_line_bytes: int = 16 * 1024 * 1024
    """Maximum length of a line in an imported text file; a longer line is rejected."""
    import_max_decompression_ratio: int = 100
    """Maximum ratio of decompressed to compressed size of an imported file (protection against decompression bombs); 64
    MB are always allowed."""
    import_memory_bytes: int = 2 * 1024**3
    """Memory limit for decoding Parquet; a row group takes about four times the size of its embeddings."""
    import_range_bytes: int = 64 * 1024 * 1024
    """Approximate size of the ranges into which a splittable file is divided for a parallel import."""
    import_max_attempts: int = 3
    """On AWS: deliveries of an import message before it goes to the dead-letter queue."""
    import_report_ttl_seconds: int = 30 * 24 * 3600
    """How long import reports are stored; until then the same file is not imported again."""
    embedder: str = "default"
    """Embedding function for texts in collections that name none: a name, JSON with `name` and `config`, or `none`."""
    embedding_functions: str = "default,onnx_mini_lm_l6_v2"
    """Embedding functions of collections that this server runs, separated by commas: `default`, `onnx_mini_lm_l6_v2`,
    `openai`, `ollama`, `cohere`, `huggingface_server`, `amazon_bedrock`."""
    embedding_urls: str = ""
    """Prefixes of the URLs that embedding functions of collections may use, separated by commas."""
    embedding_model_dir: str = "~/.cache/chroma/onnx_models/all-MiniLM-L6-v2"
    """Folder of the local embedding model, with `model.onnx` and `tokenizer.json`. Without a home directory that can be
    written, the default is `models/all-MiniLM-L6-v2` in the data directory."""
    embedding_fetch_model: bool = True
    """Fetch the local model (80 MB) when the first text needs it, if the folder is named `all-MiniLM-L6-v2`."""
    embedding_threads: int = 1
    """Threads that compute one batch of texts with the local model."""
    embedding_max_pending_texts: int = 10_000
    """Backpressure: with this many documents waiting to be embedded, further ones get 429."""
    embedding_timeout_seconds: float = 300.0
    """Time to embed the texts of one request; after that it gets 503, and nothing is written."""
    embedding_lambda: str = ""
    """On AWS: name of the function that runs the local model."""
    embedding_model_archive: str = "models/all-MiniLM-L6-v2/onnx.tar.gz"
    """On AWS: object in the bucket with the archive of the local model, for that function."""
    embedding_model_checksum: str = ""
    """On AWS: SHA-256 of that object; by default that of Chroma's archive."""
    embedding_query_cache: int = 1_024
    """Query texts whose embeddings are cached."""
    reranker_model_dir: str = ""
    """Folder of the cross-encoder for `$rerank` in searches, with `model.onnx` and `tokenizer.json`."""
    reranker_timeout_seconds: float = 30.0
    """Time to rerank the documents of one `$rerank`; after that the search gets 503."""
    openai_api_key: str = field(default="", repr=False)
    """Key for the embedding function `openai`; else `OPENAI_API_KEY` or `CHROMA_OPENAI_API_KEY`."""
    cohere_api_key: str = field(default="", repr=False)
    """Key for the embedding function `cohere`; else `COHERE_API_KEY` or `CHROMA_COHERE_API_KEY`."""
    huggingface_api_key: str = field(default="", repr=False)
    """Key for the embedding function `huggingface_server`; else `HUGGINGFACE_API_KEY` or
    `CHROMA_HUGGINGFACE_API_KEY`."""
    embedding_function_hosts: str = ""
    """Hosts that stored embedding functions may make clients send texts to, separated by commas; `.example.org` stands
    for all hosts of a domain, `*` for every host. Always allowed: the client's own machine, OpenAI, Azure OpenAI, Morph
    and Roboflow, and the hosts of `embedding_urls`."""
    allow_unsafe_embedding_functions: bool = False
    """Store embedding functions that make clients run a model's code (`trust_remote_code`) or read files by a path."""
    allow_reset: bool = False
    """Enable the reset route, which deletes all data; same as `--allow-reset`."""
    table: str = ""
    """On AWS: name of the DynamoDB table."""
    bucket: str = ""
    """On AWS: name of the S3 bucket."""
    queue: str = ""
    """On AWS: URL of the indexer's SQS queue; without one, `afterglow run --aws` runs its own indexer."""
    compaction_queue: str = ""
    """On AWS: URL of the compactor's SQS queue, which the indexer notifies; without one, it notifies itself."""
    import_queue: str = ""
    """On AWS: URL of the importer's SQS queue."""
    cache_dir: str = "/tmp/afterglow"  # noqa: S108  the only writable directory of a Lambda function; files there are verified before use
    """On AWS: directory of the disk cache for downloaded segments."""
    cache_max_bytes: int = 0
    """On AWS: maximum size of the disk cache. 0: 80 % of its file system."""
    verify_checksums: bool = True
    """Verify a segment's checksums when opening it, which reads its files completely."""
    check_before_write: bool = True
    """Before the first write of a process to a collection, check that every object that readers need exists, so that no
    write is acknowledged that cannot be read."""
    auth: str = "off"
    """Authentication: `off`, or one or more of `keys`, `htpasswd` and `token`, separated by commas."""
    auth_file: str = ""
    """For `htpasswd`: path of a password file in the format of Apache's `htpasswd`."""
    auth_token: str = field(default="", repr=False)
    """For `token`: the static token, which grants full access."""
    api_key: str = field(default="", repr=False)
    """Credential that commands with `--url` send to the server."""
    auth_cache_seconds: float = 60.0
    """How long authentication results are cached, and so the longest time a revoked credential still works."""
    auth_attempts_per_minute: int = 30
    """Unknown credentials that one client address may try per minute before it gets 429. 0: no limit."""
    auth_system_routes: bool = False
    """Require a credential also for heartbeat, version, pre-flight checks and the pages under `/docs`; only the
    healthcheck stays open."""
    cors_allow_origins: str = ""
    """Origins whose pages may call the API from a browser, separated by commas, or `*` for every origin. Empty: none.
    Only for `afterglow run`."""
    log_level: str = "info"
    """Minimum level of log lines: debug, info, warning or error. Only for `afterglow run`."""
    log_format: str = "text"
    """Format of log lines: text, or json for one JSON object per line. Only for `afterglow run`."""
    access_log: str = "slow"
    """Log a line for requests: off, slow or all. Only for `afterglow run`."""
    slow_request_seconds: float = 1.0
    """With ACCESS_LOG=slow, requests of at least this duration are logged."""
    traces_url: str = ""
    """Address of an OpenTelemetry receiver (OTLP over HTTP), such as `http://localhost:4318/v1/traces`, that gets the
    traces of requests. Empty: none. Needs `afterglow-db[traces]`. Only for `afterglow run`."""
    traces_share: float = 1.0
    """Share of the requests without a `traceparent` that are traced; for the others their callers decide."""
    max_connections: int = 1000
    """Maximum open connections per process. A further one replaces the connection that is idle longest, and gets 503 if
    none is idle."""
    max_inflight_body_bytes: int = 256 * 1024 * 1024
    """Memory for request bodies per process, taken as they arrive. If none is free, a body has to wait, and the slowest
    of the others is refused."""
    max_inflight_response_bytes: int = 256 * 1024 * 1024
    """Memory for responses that clients are reading, per process. Further large responses wait, up to half as many
    bytes; beyond that requests get 503."""
    max_request_line_bytes: int = 16 * 1024
    """Maximum length of a request line; a longer one gets 414."""
    max_header_bytes: int = 64 * 1024
    """Maximum size of all request headers together; larger ones get 431."""
    client_timeout_seconds: float = 30.0
    """Time to receive the request headers, and the period over which a body must average 1 KiB/s; a slower client gets
    408. A client that reads a response more slowly is disconnected."""
    keep_alive_seconds: float = 75.0
    """How long an idle keep-alive connection stays open."""
    shutdown_seconds: float = 10.0
    """Time for running requests to finish after a termination signal."""

    def embedding_hosts(self) -> tuple[str, ...]:
        """The hosts of `embedding_function_hosts` and of `embedding_urls`."""
        hosts = [host.strip().lower() for host in self.embedding_function_hosts.split(",")]
        hosts += [urlsplit(url.strip()).hostname or "" for url in self.embedding_urls.split(",")]
        return tuple(filter(None, hosts))

    def cors_origins(self) -> tuple[str, ...]:
        """The origins of `cors_allow_origins`. Raises ValueError if one is not like `https://example.org`."""
        origins = tuple(filter(None, (text.strip() for text in self.cors_allow_origins.split(","))))
        for origin in origins:
            if origin != ANY_ORIGIN and _ORIGIN.fullmatch(origin) is None:
                raise ValueError(
                    f"{PREFIX}CORS_ALLOW_ORIGINS must be * or origins like https://example.org:8080, without a path "
                    f"and separated by commas, got {origin!r}"
                )
        return origins
