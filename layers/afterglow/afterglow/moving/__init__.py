"""Moving in and out: collections as files, databases as copies, and what comes from a genuine Chroma.

::

    sides       the two ends of a move, as it sees them: what there is, records in pages, making, adding
    local       a side: the stores of a directory or an account
    remote      a side: a server over HTTP, this one or a genuine one, of which `wire` is the connection
    directory   a genuine Chroma's directory as a server: its own, started beside
    files       a file that is there whole or not at all
    sidecar     what a file does not say of its collection
    jsonl parquet   the formats
    export      a collection to a file
    chroma      everything of a side to another
    copies      a database to a directory or a prefix of a bucket, and back

**An export**:

1. Open the collection: in a directory or an account one view of it, which is a moment; over HTTP the pages are asked
   for one after another, each its own moment.
2. Write the records in insertion order, a page at a time, to a file beside the target with a name of its own.
   *Crash: such a file is left (`.….unfinished`); nothing looks at it, and it may be removed.*
3. Sync it, write the sidecar, whole as well. *Crash after: a sidecar without a file, replaced by the next export.*
4. Give the file its name. *Crash after: the export is done.*

**A move from a genuine Chroma** (`chroma`):

1. For each tenant, database and collection: make it where it is missing, with its configuration, schema and metadata.
   *Crash after: a collection that is there and empty.*
2. See how far it came: the ids that the target has must be the first ids of the source, in insertion order. Any
   others: it is not ours to write to, and the move ends. *So no file keeps a state, and a move that was interrupted is
   run again.*
3. Add the records that follow, page by page, in insertion order, one page being one write of the target.
   *Crash midway: whole pages are there or not; step 2 finds the first that is missing. A write whose answer was lost
   may be sent again: records that are there already are left alone by an add.*
4. Compare: the counts, the configuration, and the contents of records all over the collection. What differs is told.

The source should not be written meanwhile: what changes in it behind the place reached is not seen.
"""
