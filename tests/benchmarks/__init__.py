"""`make bench`: Afterglow and Chroma side by side, in one run, one table.

    .venv/bin/python -m tests.benchmarks [--corpus DIR] [--rows N] [--only PHASE …] [--json OUT] [--skip-chroma]

A corpus is a directory of `packages.jsonl.gz` (id, document, metadata a line), `embeddings.npy` (n, d), `queries.npy`
(m, d) and `queries.jsonl`; it is given by `--corpus` or AFTERGLOW_BENCH_CORPUS. Without one, the sample that ships with
the package is tiled and perturbed, always in the same way, to `--rows` records; the table names what it ran on.

How it measures
    Phases alternate (Afterglow, Chroma, Afterglow, …) and each server waits until its background work is
    done, so that the two never load the machine at once. Figures are medians over rounds.
    Chroma is installed from its wheel into `.venv-chroma` on the first run.
    "raw HTTP" is a keep-alive client of prebuilt requests in a process of its own; "stock client" is
    `chromadb.HttpClient`. Both request the fields that a query includes by default.
    Every request differs from every other: each query embedding is used once a round, thresholds in filters move by
    some bytes.
    Recall counts a returned record when its exact distance reaches that of the 10th best (ties count).
    Memory is the peak of the proportional set size (PSS) summed over the process tree, in the life in which the server
    elapsed the records in and answered the reads; disk is allocated blocks.
"""
