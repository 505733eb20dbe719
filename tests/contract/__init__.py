"""What every adapter of a storage port must promise; `adapters` lists those that are held to it."""
