"""Where the files of the local embedding model are: in the folder of Chroma's clients, or within the deployment's own.

The folder of Chroma's clients is in the home directory, which a server in a container or under systemd may not have, or
may not write. Then the model is in `models/` of the data directory, or of the cache of an AWS account.
"""

import os
from dataclasses import replace
from pathlib import Path

from afterglow.settings import Settings

MODELS = "models"
_CHROMA = Settings().embedding_model_dir
_MODEL, _ARCHIVE_FILES = "model.onnx", "onnx"


def with_model_folder(settings: Settings, parent: Path) -> Settings:
    """The settings with a folder for the model that is there or can be made, unless they name one of the user's own."""
    if settings.embedding_model_dir != _CHROMA or _is_usable(_CHROMA):
        return settings
    return replace(settings, embedding_model_dir=str(parent / MODELS / Path(_CHROMA).name))


def _is_usable(name: str) -> bool:
    """Whether the folder holds a model, or can be created and written."""
    try:
        folder = Path(name).expanduser()
    except RuntimeError:  # the user has no home directory
        return False
    if any(os.access(place / _MODEL, os.R_OK) for place in (folder, folder / _ARCHIVE_FILES)):
        return True
    nearest = next(place for place in (folder, *folder.parents) if os.access(place, os.F_OK))
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
