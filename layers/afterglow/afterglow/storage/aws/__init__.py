"""The ports over AWS: DynamoDB, S3 and SQS."""
