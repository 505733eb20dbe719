"""Tests of the local adapters beyond the contract of their ports."""
