"""Dumps: a database as a directory or a prefix of a bucket, and back."""
