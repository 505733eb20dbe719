"""The curl tutorial on the v1 API, command for command, against a server of its own."""

from pathlib import Path

import pytest

from tests.support import tutorial
from tests.support.server import running

pytestmark = pytest.mark.skipif(
    bool(tutorial.MISSING), reason=f"the tutorial needs {', '.join(tutorial.MISSING)}, which is not installed"
)


@pytest.mark.slow
def test_the_tutorial(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        answers = tutorial.printed(f"http://127.0.0.1:{server.port}", tmp_path)
    tutorial.check(answers)
    assert answers["names"] == '"knowledge_base"\n'
    assert answers["list nothing"] == "[]\n"
