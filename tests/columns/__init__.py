"""Tests of the columns; `records` makes what both columns and filters are tried on."""
