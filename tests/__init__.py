"""Tests, by the room they look at; `support` is what several of them share."""
