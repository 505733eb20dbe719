"""Several processes read and write one directory at the same time; their logged histories are checked afterwards."""
