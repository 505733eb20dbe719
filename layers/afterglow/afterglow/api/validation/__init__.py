"""Parsing and validating request bodies: JSON shapes, embeddings, metadata, rank expressions."""
