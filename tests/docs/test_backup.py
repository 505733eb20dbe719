"""The backup that `docs/operations.md` tells how to make, made of a directory in use."""

from pathlib import Path

import numpy as np

from afterglow.catalog import schema
from afterglow.collection.types import Scope, Selection
from afterglow.deployment.local import open_local
from afterglow.jobs.start import compact_all, start_engine
from afterglow.log.batch import Batch, Op
from afterglow.settings import Settings, System
from tests.docs.carried import carried_out, commands
from tests.docs.written import OPERATIONS


def test_a_backup_holds_everything(tmp_path: Path) -> None:
    engine = start_engine(open_local(tmp_path / "data", System()), Settings(), System())
    stored_schema = schema.reconcile(None, None, None)
    made = engine.create_collection("default_tenant", "default_database", "tested", None, stored_schema)
    scope = Scope("default_tenant", "default_database", made.id)
    engine.write(scope, Batch(Op.ADD, ["folded"], np.ones((1, 3), dtype=np.float32)))
    assert [
        report.flushed_ops for report in compact_all(open_local(tmp_path / "data", System()), Settings(), System())
    ] == [1]
    engine.write(scope, Batch(Op.ADD, ["in the table"], np.ones((1, 3), dtype=np.float32)))
    engine.write(scope, Batch(Op.ADD, ["in an object"], np.ones((1, 3), dtype=np.float32), documents=["x" * 40_000]))
    section = OPERATIONS.read_text().partition("## Backup")[2].partition("## ")[0]
    carried_out(commands(section), tmp_path)
    engine.close()
    (copy,) = (tmp_path / "backups").iterdir()
    restored = start_engine(open_local(copy, System()), Settings(), System())
    found = restored.get(scope, Selection(), None, 0, frozenset())
    restored.close()
    assert found.ids == ["folded", "in the table", "in an object"]
