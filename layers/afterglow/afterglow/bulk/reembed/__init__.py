"""Moves a collection to another embedding function while it is used.

Another model has vectors of another dimension, so a fork that shares segments is impossible: the documents are embedded
anew into a **copy**, `<name>-reembedded`, an ordinary collection, until it takes the place of the source.

1. *Create* the copy with the source's schema and metadata and the new function, and in the same transaction its
   progress: the source, and the position of the source's log. *Crash before: nothing. After: an empty copy.*
2. *Pass*: page by page over one snapshot of the source: bring the copy's records to the state of the source's. Records
   that are equal already are not embedded again. Then delete what the source no longer has, and put the progress.
   *Crash midway: the next run makes another pass, with the position of the log at its own start.*
3. *Follow*: read the ids that the source's log names after the position, bring those records of the copy to the state
   that they have in the source now, and put the new position. Repeat up to the end that the log had at first.
   *Crash before the position is put: the same records are compared once more. What is compared is never a change but a
   state, so repeating it, in any order, does no harm.* If the log after the position is not stored any more: step 2.
4. *Compare*: all records must have a document, unless the caller leaves the others out; for a sample of queries, the
   overlap of the nearest records in both collections. *Nothing is written.*
5. *Swap*: follow again, then replace the source by the copy in one transaction, which also seals the source's log
   behind the position that the copy has reached (`collection.write.replacement`), and deletes the progress. A write
   that came first makes the transaction fail: step 3. Where writers are first three times, their writes are held for a
   bounded moment (`collection.write.hold`), so the last follow has an end and the swap is next. *Crash before: clients
   have the source, which takes writes again when the hold ends by itself. After: the copy. A dropped source can be
   restored, by its id.*

Every write to the copy is on condition that the progress still has this run as its owner. A second run becomes the
owner, and the first one stops; after the swap nobody is the owner, so a late run cannot overwrite what clients write.

::

    progress      the item that makes a copy continue: source, position, owner
    record_sync   records of the copy as those of the source are
    overlap       how many of the nearest records are the same
    run           the steps
"""
