"""What every test shares: random tests print the seed they can be run again with, and may take their time."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import onnxruntime  # noqa: F401 - before usearch, see afterglow.embedded
import pytest
from hypothesis import HealthCheck, Phase, settings

from afterglow.embedding import model_archive
from tests.support.ministack import MiniStack, ministack
from tests.support.stores import quick_folder

settings.register_profile(
    "afterglow", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow], derandomize=False
)
settings.load_profile("afterglow")
settings.register_profile("mutants", settings.default, phases=[Phase.explicit, Phase.generate])


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """One seed for the run, unless it was given; and no test fetches a model."""
    os.environ["AFTERGLOW_EMBEDDING_FETCH_MODEL"] = "false"
    model_archive.MINI_LM = model_archive.Archive("http://127.0.0.1:9/", "")
    if config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    """How to run the random tests again as they ran."""
    return f"seed: --hypothesis-seed={config.option.hypothesis_seed}"


@pytest.fixture(scope="session")
def emulator() -> Iterator[MiniStack]:
    """One MiniStack for the whole run; a test takes an account of its own there."""
    with ministack() as running:
        yield running


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build` made for this machine's processor: a folder for each function and each layer of the stack."""
    # Imported here: only tests of the stack need boto3.
    from tests.support import deployment

    return deployment.built(tmp_path_factory.mktemp("sam"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of the test's own; the stores opened on it are one store."""
    with quick_folder() as path:
        yield path
