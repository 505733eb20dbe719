"""where and where_document: parse once, evaluate over columns.

::

    ast       the filter as a syntax tree, and the keys, ids and documents that it reads
    parse     JSON → tree; rejects what Chroma rejects, with its messages
    budget    how many conditions and values the filters of one request may have
    regex     Rust's regular expressions, in linear time
    evaluate  tree + columns + documents → row mask
"""

from afterglow.filters.ast import Filter, operands, reads_documents
from afterglow.filters.evaluate import evaluate
from afterglow.filters.parse import parse_filter, parse_where, parse_where_document

__all__ = ["Filter", "evaluate", "operands", "parse_filter", "parse_where", "parse_where_document", "reads_documents"]
