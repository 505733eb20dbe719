"""Tests of the write log."""
