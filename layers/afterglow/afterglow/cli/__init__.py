"""The commands: what a person types, and the server process behind `afterglow run`."""
