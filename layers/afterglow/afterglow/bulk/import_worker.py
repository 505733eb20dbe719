"""The process that imports files of a watched directory (`bulk.directory_watcher`, `deployment.child_process`).

The one request is the list of their paths, relative to the watched folder. Each file has one reply, in order:
``{"path": path, "report": report or null, "error": message or null}``. With an error the file must be tried again; a
file that is gone has neither report nor error. A report with an error belongs to a file that could not be moved.
"""

import logging
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from afterglow.bulk.finished_files import move_finished
from afterglow.bulk.import_file import NullListener, import_file
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sidecar import GivenOptions
from afterglow.bulk.sink import EngineSink
from afterglow.bulk.watched_folder import FOLDER, open_watched_file
from afterglow.deployment.child_process import ParentConnection
from afterglow.deployment.open import open_deployment
from afterglow.errors import AfterglowError
from afterglow.jobs.start import start_engine
from afterglow.settings import System, from_environment

_log = logging.getLogger(__name__)


def main() -> None:
    """Import the files that the parent requests."""
    parent = ParentConnection(exit_code=1)
    path, paths = Path(sys.argv[1]), parent.receive()
    settings, system = from_environment(), System()
    engine = start_engine(open_deployment(path, settings, system), settings, system)
    stores = engine.stores
    store = ImportStore(stores.table, stores.objects, system, settings.import_report_ttl_seconds)
    context = ImportContext(EngineSink(engine), store, settings, system)
    for relative_path in paths:
        parent.send({"path": relative_path, **_import(context, path / FOLDER, relative_path)})
    engine.close()
    parent.exit(0)


def _import(context: ImportContext, folder: Path, relative_path: str) -> dict[str, Any]:
    report = None
    try:
        file = open_watched_file(folder, relative_path)
        if file is not None:
            result = import_file(context, file.source, file.target, GivenOptions(), NullListener())
            report = asdict(result.report)
            move_finished(folder, file, result.report)
    except (AfterglowError, OSError) as error:
        return {"report": report, "error": str(error)}
    except Exception as error:  # noqa: BLE001  the other files are imported
        _log.exception("import of %s failed", relative_path)
        return {"report": report, "error": repr(error)}
    return {"report": report, "error": None}


if __name__ == "__main__":
    main()
