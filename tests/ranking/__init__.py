"""Tests of rank expressions; `reference` evaluates whole searches record by record."""
