"""Reading and forking a collection as of an earlier point in its log."""
