"""The process that imports files of a watched directory (`bulk.directory_watcher`, `deployment.child_process`).

The one request is the list of their paths; a reply is the report of a finished import. The exit code is 1 if a file
must be tried again.
"""

import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

from afterglow.bulk import directory_watcher
from afterglow.bulk.directory_watcher import FOLDER
from afterglow.bulk.import_file import NullListener, import_file
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sink import EngineSink
from afterglow.deployment.child_process import ParentConnection
from afterglow.deployment.open import open_deployment
from afterglow.errors import AfterglowError
from afterglow.jobs.start import start_engine
from afterglow.settings import System, from_environment

_log = logging.getLogger(__name__)


def main() -> None:
    """Import the files that the parent requests."""
    parent = ParentConnection(exit_code=1)
    path, paths = Path(sys.argv[1]), set(parent.receive())
    settings, system = from_environment(), System()
    engine = start_engine(open_deployment(path, settings, system), settings, system)
    stores, folder = engine.stores, path / FOLDER
    store = ImportStore(stores.table, stores.objects, system, settings.import_report_ttl_seconds)
    context = ImportContext(EngineSink(engine), store, settings, system)
    failed = False
    for file in directory_watcher.list_files(folder):
        if os.fspath(file.source.path) not in paths:
            continue
        try:
            report = import_file(context, file.source, file.target, None, NullListener()).report
            directory_watcher.move_finished(folder, file, report)
        except (AfterglowError, OSError) as error:
            _log.warning("import of %s is tried again: %s", file.source.path, error)
            failed = True
            continue
        parent.send(asdict(report))
    engine.close()
    parent.exit(int(failed))


if __name__ == "__main__":
    main()
