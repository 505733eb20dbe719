"""`make bench`: this server and the genuine one side by side, in one run, one table.

    .venv/bin/python -m tests.benchmarks [--corpus DIR] [--rows N] [--only PHASE …] [--json OUT] [--skip-theirs]

A corpus is a directory of `packages.jsonl.gz` (id, document, metadata a line), `embeddings.npy` (n, d), `queries.npy`
(m, d) and `queries.jsonl`; it is given by `--corpus` or AFTERGLOW_BENCH_CORPUS. Without one, the sample that ships with
the package is tiled and perturbed, always in the same way, to `--rows` records; the table names what it ran on.

How it measures
    Phases alternate (ours, theirs, ours, theirs …) and a server is left alone until its work in the background is
    done, so that the two never load the machine at once. Figures are medians over rounds.
    The genuine server comes from its wheel in an environment of its own, `.venv-chroma`, made on the first run.
    "bare" is a keep-alive HTTP client of prebuilt requests in a process of its own; "stock client" is
    `chromadb.HttpClient`. Both ask for what a query includes by default.
    Every request differs from every other: each query embedding is used once a round, thresholds in filters move by
    some bytes.
    Recall counts a returned record when its exact distance reaches that of the 10th best (ties count).
    Memory is the peak of the proportional set size (PSS) summed over the process tree, in the life in which the server
    took the records in and answered the reads; disk is allocated blocks.
"""
