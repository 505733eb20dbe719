"""The AWS Lambda functions: translation of events, logs, metrics and traces, SnapStart."""
