"""The process that imports the files of a watched directory: their paths come as a line of JSON, receipts go out.

It ends at once when its standard input does, that is at the latest with the server that started it.
"""

import logging
import os
import sys
from pathlib import Path
from threading import Thread

import orjson

from afterglow.bulk import directory_watcher
from afterglow.bulk.directory_watcher import FOLDER
from afterglow.bulk.import_file import NullListener, import_file
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sink import EngineSink
from afterglow.deployment.open import open_deployment
from afterglow.errors import AfterglowError
from afterglow.jobs.start import start_engine
from afterglow.settings import System, from_environment

_NICENESS = 5
_log = logging.getLogger(__name__)


def main() -> None:
    """Import what standard input names; exits with 1 where something has to be tried again."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.nice(_NICENESS)
    path, wanted = Path(sys.argv[1]), set(orjson.loads(sys.stdin.buffer.readline()))
    Thread(target=_end_with_input, daemon=True).start()
    settings, system = from_environment(), System()
    engine = start_engine(open_deployment(path, settings, system), settings, system)
    stores, folder = engine.stores, path / FOLDER
    ledger = ImportStore(stores.table, stores.objects, system, settings.import_report_ttl_seconds)
    site = ImportContext(EngineSink(engine), ledger, settings, system)
    failed = False
    for each in directory_watcher.found_in(folder):
        if os.fspath(each.source.path) not in wanted:
            continue
        try:
            receipt = import_file(site, each.source, each.target, None, NullListener()).report
            directory_watcher.move_aside(folder, each, receipt)
        except (AfterglowError, OSError) as error:
            _log.warning("import of %s is tried again: %s", each.source.path, error)
            failed = True
            continue
        sys.stdout.buffer.write(receipt.encoded() + b"\n")
        sys.stdout.buffer.flush()
    engine.close()
    # The thread that waits for the end of standard input holds a lock that an orderly end would wait for.
    os._exit(int(failed))


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
