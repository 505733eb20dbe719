"""The curl tutorial against a deployment, which asks for a key: curl is told of it, the commands stay as they are."""

from pathlib import Path

import pytest

from tests.support import tutorial
from tests.support.deployment import Deployment

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        bool(tutorial.MISSING), reason=f"the tutorial needs {', '.join(tutorial.MISSING)}, which is not installed"
    ),
]


def test_the_tutorial(deployed: Deployment, tmp_path: Path) -> None:
    options = [f'cacert = "{deployed.aws.certificate}"', f'user = "tutorial:{deployed.key()}"']
    options += [f'header = "{name}: {value}"' for name, value in deployed.headers.items()]
    tutorial.check(tutorial.printed(deployed.aws.url, tmp_path, options))
