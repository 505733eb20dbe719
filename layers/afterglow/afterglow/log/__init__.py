"""The write log of a collection: the authoritative record of every write, in order, without gaps.

**Append** of an entry at number n, with one batch or the several of a transaction, by a writer that knows the
collection's state and the entries up to n - 1:

1. Encode its payload. If it is larger than the inline limit, put it to an object first.
   *Crash after: an orphan object, collected later.*
2. Put `LOG#<n>` on condition that it is absent. Where transactions are cheap (SQLite), and where the put is in one
   anyway (a chunk of an import), the transaction checks that the state is still the one that the writer knows. *Crash
   before: nothing happened. After: the write is durable.*
3. Conflict at n → compare the nonce of the entry there. If it is our own, the put had succeeded and only its response
   was lost. Otherwise another writer was first: the caller reads the entries appended since and tries the next number.
   Conflict with the state → the same, with the new state.

**A number is used once.** A number at or below `flushed_seq` is never given to another entry, as no reader would look
there: with the check of step 2, because a flush changes the state; without it (DynamoDB, where a transaction costs
twice as much), because the placeholder of a flushed entry stays as long as the collection. Neither depends on a clock.

**Trim**: a placeholder replaces a flushed entry. It keeps the number, the nonce, so that the entry's own writer still
recognises it, and the name of the batch's object. With the check, placeholders are deleted with those objects.

**Read after** n: the entries n+1, n+2, … together with the collection's state in one query. A placeholder or a gap
means that the log is trimmed beyond the reader's position: the reader must restart from the checkpoint.

A **seal** is an entry that ends a dropped collection's log: nothing may follow it.
"""
