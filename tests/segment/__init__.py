"""Tests of the immutable segment."""
