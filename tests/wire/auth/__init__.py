"""The gate as clients see it."""
