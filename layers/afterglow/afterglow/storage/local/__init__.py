"""The adapters of one directory on one machine: a SQLite file, a tree of files, a thread."""
