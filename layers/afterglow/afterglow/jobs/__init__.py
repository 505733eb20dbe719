"""The work behind the writes: fold the log into segments, compact segments, collect garbage.

Each job is a function over the stores that may be killed anywhere and run again; none needs anybody's help after a
crash. On one machine `local` runs them in a process of their own, so that building a graph never slows a request.
"""
