"""File formats: the reader and, where exports have it, the writer of each."""
