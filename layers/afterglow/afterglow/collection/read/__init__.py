"""The read path: plan, search, filter, materialize."""
