"""The changes of a collection: what was written, in the order of the log, from any position on.

A **change** is a write as the log holds it: its operation and its records as they were sent, after texts were embedded
and a filter of a delete was evaluated. Every log entry is one change, or the several of a transaction, so a reader that
starts behind a position gets each later position once, in order, without gaps, and a consumer that applies them
rebuilds the collection.

**Read after** entry n, at most so many lines and bytes:

1. Read the entries n+1, n+2, … of the log, and behind the last one the state, in one query.
2. If n+1 is trimmed, list the archives (`log.archive`) from there on and take the entries out of them; where they end,
   go on with step 1. A flush writes its archive before it commits, and an entry is trimmed after that: an entry that is
   trimmed is in an archive until that is garbage.
3. If n+1 is in neither, it has expired: the reader gets the oldest position from which it can go on.
4. Fetch the batches of the entries, and cut them into lines of about `lines.LINE_BYTES`.

Nothing is written, and nothing remembers a reader: its position is all there is. *A reader that crashes starts again
behind the last line that it has processed.*
"""
