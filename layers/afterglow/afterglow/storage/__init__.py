"""Three ports — Table, Objects, Queue — and their adapters."""
