"""Imports from other databases: each collection there is a source of rows, imported as a file is (`afterglow.bulk`).

A module of this room lists the collections of one database and reads their rows in an order that stays the same while
nobody writes, from any row on. So an interrupted import continues after the last row that is durable, and its report is
that of a file: columns, what was left out, rejected rows. Nothing is written to the database.

The defaults of the mapping are those of files (`formats.column_mapping`); what differs is in each module's docstring.
"""
