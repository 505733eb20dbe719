"""Tests of what reads and writes mean."""
