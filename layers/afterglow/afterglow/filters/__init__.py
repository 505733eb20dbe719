"""where and where_document: parse once, evaluate over columns.

::

    tree      the filter as a tree, and what it reads
    parse     JSON → tree; refuses what Chroma refuses, in its words
    regex     Rust's regular expressions, in linear time
    evaluate  tree + columns + texts → which rows
"""

from afterglow.filters.ast import Filter, operands, reads_documents
from afterglow.filters.evaluate import evaluate
from afterglow.filters.parse import parse_filter, parse_where, parse_where_document

__all__ = ["Filter", "evaluate", "operands", "parse_filter", "parse_where", "parse_where_document", "reads_documents"]
