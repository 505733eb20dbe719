"""Typed metadata columns and text blobs: what filters read, in memory (the tail) and on disk (a segment).

A *row* is one version of a record in one part, numbered from 0; a part is the in-memory tail or an immutable segment::

    lanes       Lane: the values of one key of one kind; Columns: all lanes of a part
    vocabulary  the strings of a lane, by code
    growing     GrowingColumns: append metadata, take snapshots
    merging     gather, take: rows of several parts into one
    picking     Picks, PickedTexts: rows of several parts, read a stretch at a time
    stored      to_pools, from_arrays: columns as numpy arrays and a JSON header
    texts       Texts: documents in one blob, searched in place
    scan        finding a needle or a pattern in that blob
    growing_texts  GrowingTexts: append documents, take snapshots
"""

from afterglow.columns.builder import ColumnSetBuilder
from afterglow.columns.column import Column, ColumnSet, ColumnType
from afterglow.columns.concat import concat, take
from afterglow.columns.serde import from_buffers, to_buffers
from afterglow.columns.string_column import StringColumn, StringColumnBuilder

__all__ = [
    "Column",
    "ColumnSet",
    "ColumnSetBuilder",
    "ColumnType",
    "StringColumn",
    "StringColumnBuilder",
    "concat",
    "from_buffers",
    "take",
    "to_buffers",
]
