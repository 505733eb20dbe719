"""The adapters over AWS when AWS fails, beneath the retries of botocore."""
