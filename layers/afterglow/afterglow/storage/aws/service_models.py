"""Reads botocore's JSON files, the models of services, with orjson: a client needs 2 MB of them.

With the loader of botocore, which makes an ordered dictionary of each object, they take half of a client's creation.
"""

import gzip
from pathlib import Path
from typing import Any

import orjson
from botocore.loaders import JSONFileLoader


class ModelFiles(JSONFileLoader):
    """A `file_loader` of a botocore `Loader`."""

    def load_file(self, file_path: str) -> Any:
        """The content of ``<file_path>.json`` or ``<file_path>.json.gz``; None if neither exists."""
        for suffix, decompress in ((".json", bytes), (".json.gz", gzip.decompress)):
            path = Path(file_path + suffix)
            if path.is_file():
                return orjson.loads(decompress(path.read_bytes()))
        return None
