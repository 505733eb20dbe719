"""Typed metadata columns and string columns: what filters read, in memory (the memtable) and on disk (a segment).

A *row* is one version of a record in one row group, numbered from 0; a row group is the memtable or a segment::

    column            Column: the values of one key of one type; ColumnSet: all columns of a row group
    dictionary        the strings of a column, by code
    builder           ColumnSetBuilder: append metadata, take snapshots
    concat            concat, take: rows of several row groups as one
    gather            GatherPlan, GatheredStrings: rows of several row groups, read a chunk at a time
    serde             to_buffers, from_buffers: columns as numpy arrays and a JSON header
    string_column     StringColumn: documents in one data buffer, searched in place; StringColumnBuilder
    substring_scan    finds a substring or a pattern in that buffer
    arrays            index arithmetic and growable arrays
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
