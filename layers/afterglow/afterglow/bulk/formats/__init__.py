"""File formats: how to inspect and read each (`format.Format`), and, where exports have it, to write it."""
