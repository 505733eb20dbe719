"""The immutable segment: rows of a collection, written by a flush or a compaction.

A row is one version of a record. A segment has several files; the manifest lists each with its size and xxh3-128:

    rows      ids with a hash index, insertion sequence numbers, squared norms, metadata columns    mapped
    strings   documents, uris and metadata objects as string columns                                mapped
    vectors   the exact float32 vectors, row-major                                                  mapped
    postings  inverted lists of sparse vectors; only where a row has one                            mapped
    graph     a usearch HNSW index, rounded vectors, key = row; only from `hnsw_min_rows` on        viewed
    centroids, lists, records   instead of `graph`: an inverted file index (`lists`, `records`)     ranges
    binary_codes                with them: for searches that probe many lists                       ranges
    covering                    with them: rows by the values of metadata keys, for filters         ranges
    narrow                      with them: columns in fewer bytes                                   ranges
    places, contents            with them: rows by id and by insertion, what leads to all ranges    ranges

Files never change after a manifest lists them. Rows that later writes replaced or deleted are listed in a deletion
vector, an object next to the segment's files, also listed in the manifest. The length and checksum of every file are
checked before it is mapped, of files that are read by ranges those of each range: a damaged file is a `Corrupt` error
that names it.
"""
