"""A deterministic simulation of several processes over one set of stores; see `tests.simulation.run`."""
