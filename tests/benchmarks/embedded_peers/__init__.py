"""Afterglow in a process beside other embedded databases and vector indexes, on the same records."""
