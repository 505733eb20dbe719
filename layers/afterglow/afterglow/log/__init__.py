"""The write log of a collection: the authoritative record of every write, in order, without gaps.

**Append** of one batch at number n:

1. Encode the batch. If it is larger than the inline limit, put it to an object first.
   *Crash after: an orphan object, collected later.*
2. Put `LOG#<n>` on condition that it is absent. *Crash before: nothing happened. After: the write is durable.*
3. Conflict → compare the nonce of the entry at n. If it is our own, the put had succeeded and only its response was
   lost. Otherwise another writer was first: the caller reads the entries appended since and tries the next number.

**Trim**: a placeholder replaces a flushed entry. It keeps the number and the nonce, so that slow writers still find the
number occupied and the entry's own writer still recognises it. Placeholders expire after seven days.

**Read after** n: the entries n+1, n+2, … together with the collection's state in one query. A placeholder or a gap
means that the log is trimmed beyond the reader's position: the reader must restart from the checkpoint.

A **seal** is an entry that ends a dropped collection's log: nothing may follow it.
"""
