"""One module per peer: `open_peer(folder, records)` returns its `Adapter`. They import nothing of Afterglow."""
