"""File formats, reader and writer of each side by side."""
