"""Tests of the filters; `reference` says, record by record, what a filter means."""
