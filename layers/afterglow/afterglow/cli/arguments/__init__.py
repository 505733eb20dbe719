"""The commands by families: what each takes, and the call that it makes, which imports what it needs then."""
