"""The write log of a collection: the truth of every write, in order, without gaps.

**Append** of one batch at number n:

1. Encode the batch. Where it is larger than the inline limit, put it to an object first.
   *Crash after: an orphan object, collected later.*
2. Put `LOG#<n>` on condition that it is absent. *Crash before: nothing happened. After: the write is durable.*
3. Conflict → look at what stands at n. If it carries our own nonce, the put had succeeded and only its answer was lost.
   Otherwise another writer was first: the caller looks at what was appended and tries the next number.

**Trim**: a folded entry is replaced by a stub that keeps its number and nonce, so that its slot stays taken for slow
writers and its own writer still recognises it. Stubs expire after seven days.

**Read after** n: the entries n+1, n+2, … with the collection's state in one query. A stub or a gap means that the
reader is older than the trimmed part: it must begin again from the checkpoint.

A **fence** is an entry that ends a dropped collection's log: nothing may follow it.
"""
