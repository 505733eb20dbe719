from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.aws_lambda.conftest import lines
from tests.functions.loading import loaded, variables
from tests.support.aws import make, moto_aws

__all__ = ["lines"]


@pytest.fixture
def function(tmp_path: Path) -> Iterator[ModuleType]:
    """The function of the API, in an account of its own."""
    with moto_aws(), loaded("api", variables(make(), tmp_path)) as module:
        yield module
