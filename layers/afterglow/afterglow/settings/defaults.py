"""The defaults of all settings on a machine, for stores on AWS, and in a Lambda function."""

from dataclasses import replace

from afterglow.settings.model import Settings

LOCAL_DEFAULTS = Settings()
"""The defaults for a data directory."""

AWS_DEFAULTS = Settings(
    # Each KB of a log entry costs two write units (append and trim); one S3 put costs as much as eight.
    log_inline_max_bytes=16 * 1024,
    notify_every_ops=2_048,
    notify_every_entries=64,
    flush_idle_seconds=60.0,
    # Inserting 768 MB of vectors into HNSW takes about 6 of a function's 15 minutes; lists take a tenth of it.
    max_segment_vector_bytes=768 * 1024 * 1024,
    # Half of the 3008 MB that the indexer function has by default.
    compaction_memory_bytes=3 * 1024**3 // 2,
    max_unflushed_ops=100_000,
    # Two indexers may run at the same time: the grace period exceeds the longest possible run (15 minutes).
    gc_grace_seconds=3600.0,
    max_memtable_bytes=256 * 1024 * 1024,
    # The check reads the manifest and asks for every object. Table and bucket are not copied by hand like a directory.
    check_before_write=False,
    # A cold reader of a graph reads all of it, of lists a few ranges: dearer in requests, and quicker from here on.
    lists_min_rows=16_384,
    # A sweep reads the state of every collection.
    ttl_sweep_seconds=3600.0,
)
"""The defaults for stores on AWS, adjusted to its limits and prices."""

LAMBDA_DEFAULTS = replace(
    AWS_DEFAULTS,
    # A response of 6 MB, compressed up to eight times, and the records in it.
    max_result_bytes=96 * 1024 * 1024,
    # Lambda limits a request and a response to 6 MB: 300 records of 3,072 dimensions fit, in base64.
    max_batch_size=300,
    max_body_bytes=6 * 1024 * 1024 - 64 * 1024,
    max_response_bytes=6 * 1024 * 1024 - 64 * 1024,
    compress_min_bytes=16 * 1024,
    # A deployed API is reachable from the internet.
    auth="keys",
    # The libraries of the local model do not fit beside the rest.
    embedder="none",
    embedding_functions="",
    # API Gateway limits a request to 30 seconds.
    embedding_timeout_seconds=25.0,
)
"""The defaults inside a Lambda function."""
