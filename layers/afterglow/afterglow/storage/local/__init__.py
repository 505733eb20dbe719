"""The ports over a directory on one machine: a SQLite file, a tree of files, a thread."""
