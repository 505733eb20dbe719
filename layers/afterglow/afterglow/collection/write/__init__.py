"""The write path: create, modify, append, delete."""
