"""The backup commands of `docs/operations.md`, run on a directory in use."""

from pathlib import Path

import numpy as np

from afterglow.catalog import schema
from afterglow.collection.types import Scope, Selection
from afterglow.deployment.local import open_local
from afterglow.jobs.start import compact_all, start_engine
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings, System
from tests.docs.generated import OPERATIONS
from tests.docs.run_blocks import commands, run_commands


def test_a_backup_holds_everything(tmp_path: Path) -> None:
    engine = start_engine(open_local(tmp_path / "data", System()), Settings(), System())
    stored_schema = schema.reconcile(None, None, None)
    collection = engine.create_collection("default_tenant", "default_database", "tested", None, stored_schema)
    scope = Scope("default_tenant", "default_database", collection.id)
    engine.write(scope, Batch(Op.ADD, ["flushed"], np.ones((1, 3), dtype=np.float32)))
    assert [
        report.flushed_ops for report in compact_all(open_local(tmp_path / "data", System()), Settings(), System())
    ] == [1]
    engine.write(scope, Batch(Op.ADD, ["in the table"], np.ones((1, 3), dtype=np.float32)))
    engine.write(scope, Batch(Op.ADD, ["in an object"], np.ones((1, 3), dtype=np.float32), documents=["x" * 40_000]))
    section = OPERATIONS.read_text().partition("## Backup")[2].partition("## ")[0]
    run_commands(commands(section), tmp_path)
    engine.close()
    (copy,) = (tmp_path / "backups").iterdir()
    restored = start_engine(open_local(copy, System()), Settings(), System())
    result = restored.get(scope, Selection(), None, 0, frozenset())
    restored.close()
    assert result.ids == ["flushed", "in the table", "in an object"]
