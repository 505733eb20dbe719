"""Background jobs: flush the log into segments, compact segments, delete expired records, collect garbage, verify.

Each job is a function over the stores. A job may be killed at any point and run again, and recovery after a crash needs
no other component. On one machine a child process runs the indexer (`jobs.index_worker`), so that building a graph
never slows a request.
"""
