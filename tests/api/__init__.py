"""The parts of the wire, one by one."""
