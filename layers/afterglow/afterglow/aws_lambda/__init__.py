"""The Lambda functions' own: events to requests, logs, metrics and traces, snapshots."""
