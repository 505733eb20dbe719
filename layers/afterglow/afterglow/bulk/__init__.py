"""Bulk in: a file of records becomes a collection, or part of one.

::

    sources     where a file is: a path, an object of a bucket
    streams     its bytes, decompressed within bounds, as lines
    jsonl csvs parquet npy      the formats, each a reader of `rows`
    rows values                 from what a file says to a batch, and why a row is not taken
    sidecar planning            what the columns mean, how the file is split: the `Plan`
    ledger                      how far it is: items, and the objects below `imports/.status/`
    sink server                 where the records go: an engine, or a server over HTTP
    ingest whole                one range of a plan; all of a file
    messages watch              who says that there is a file: S3 by a queue, a directory by being looked at

**An import**, step by step:

1. *Plan.* Look at the file: its format, its columns (from the sidecar, else by convention, from a sample), its
   dimension. Make the collection, where there is none. Split the file into ranges. Store the plan as an object, if
   there is none: its id is made of the file's name, size and time, so whoever plans the same file finds the same plan.
   *Crash after: a plan that nobody works on; the message that asked for it comes again, or the command is run again.*
2. *Begin.* Put an item for each range, if there is none: where in the range one is. *Crash midway: the same again.*
3. *Ingest*, range by range, anywhere and in any order, by as many as there are:
   a. read the range's item, and the file from there on;
   b. put the rows that are not taken, with the reason for each, as an object that is named by where in the range it
      begins; *crash after: the same object is put again;*
   c. append the batch to the collection's log, and in the same transaction move the range's item on, if it still has
      the version that was read. *Crash before: an orphan payload. After: both are durable.*
   The transaction is what makes a row count once. A message that is delivered twice, an invocation that was believed
   dead: of two that work on one range only one can append each batch, and the other goes on from where the first is.
   No batch is ever appended again later, over what a client wrote in between.
4. *Finish.* Where every range is done, put the rejected rows together, then the receipt, if there is none.
   *Crash before: whoever takes up any range of it finds that all are done, and finishes.*

An import **stops** where it cannot go on (the file is damaged, a limit is passed, too many rows are rejected, the
collection was dropped): an item says so, which every range looks at before each batch, and the receipt says why.

Over HTTP there is no such transaction: the note follows the request, and of an import that was interrupted at just that
place the last batch is sent again.

Rows are upserted. Which of two rows of one id in one file wins is only certain where both are in one range.
"""
