"""The function `revision_history`: a revision for each write of each record (`revisions`).

1. Open the collection as it was at the last run: the newest checkpoint from before, and the log up to there.
2. Read the entries that follow from the log or its archive, some at a time, and apply each to the records that it
   names (`changes`). So every write gets a revision, also those that one flush covers.
3. Write the revisions of some changes with the trackers of their records as a transaction that has read the trackers:
   one entry of the output's log (`output`). A change that its tracker holds already is left out. *Crash, or another run
   at the same time: the next run, and the slower one, find in each tracker which changes are written.*
4. Report the position, which becomes that of the function.

If the entries have expired, the versions in between are lost: the records as they are now are compared with their last
revisions, and those that differ get a new one.
"""
