"""The catalog: names, schemas, collections."""
