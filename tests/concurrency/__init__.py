"""Several processes read and write one deployment concurrently; their recorded histories are checked afterwards."""
