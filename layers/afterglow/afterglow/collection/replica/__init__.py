"""The in-memory state of a collection: a checkpoint plus the replayed log."""
