"""The immutable segment: rows of a collection that a fold or compaction wrote down.

A row is one version of a record. A segment has up to five files, each named in the manifest with its size and xxh3-128:

    rows      ids with a hash index, insertion ordinals, squared norms, metadata columns    mapped
    texts     documents, uris and metadata objects as UTF-8 blobs with offsets              mapped
    vectors   the exact float32 vectors, row-major                                          mapped
    postings  inverted lists of sparse vectors; only where a row has one                    mapped
    graph     a usearch HNSW index, bf16 or float32, key = row; only from `hnsw_min_rows` on     viewed

Files never change after they are named in a manifest. Rows that later writes replaced or deleted are listed as dead in
a tombstone object beside the segment, again named by the manifest. Opening checks length and checksum of every file
before anything is mapped: a damaged file is a `Corrupt` error that names it.
"""
