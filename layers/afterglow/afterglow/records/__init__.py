"""The rules of a record: metadata keys and values, sparse vectors and embeddings, judged once for every input.

::

    keys         names of metadata keys
    metadata     values of metadata: int64, float, string, bool, arrays, sparse vectors
    sparse       sparse vectors, in metadata and in queries
    embeddings   dense vectors: float32 range, base64

The modules accept what Chroma accepts and normalize as Chroma does. They return problems as enum members or raise
exceptions without a text; each input words them itself: `api.validation` in Chroma's own texts, `bulk.row_values` as
the reason for which a row is rejected.
"""
