"""The Dockerfiles: their rules, hadolint, and building and running the images."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from afterglow.api.v2.routes import ROUTES
from tests.deploy import images
from tests.deploy.dockerfiles import Instruction, Stage, stages
from tests.docs.generated import ROOT

SERVER = ROOT / "Dockerfile"
LAMBDA = ROOT / "deploy" / "lambda.Dockerfile"
HADOLINT = ROOT / ".venv-hadolint" / "bin" / "hadolint"

NEEDED = {"ld-linux-", "linux-vdso", "libc.", "libm.", "libmvec.", "libdl.", "librt.", "libpthread."}
NEEDED |= {"libgcc_s.", "libstdc++."}
"""The libraries of the slim images: glibc's, and the two that apt itself needs."""

both_files = pytest.mark.parametrize("path", [SERVER, LAMBDA], ids=lambda path: path.name)


def final(path: Path) -> Stage:
    return stages(path)[-1]


@both_files
def test_bases_are_official_images_of_one_version(path: Path) -> None:
    for stage in stages(path):
        assert re.fullmatch(r"python:3\.13(-slim)?-bookworm", stage.base), stage.base
    assert len(stages(path)) == 2
    assert final(path).base.endswith("-slim-bookworm")


@both_files
def test_it_runs_as_an_unprivileged_user(path: Path) -> None:
    user, group = final(path).last("USER").text.split(":")
    assert int(user) > 1000 < int(group)


@both_files
def test_every_package_is_pinned_and_hashed(path: Path) -> None:
    for stage in stages(path):
        for text in stage.texts("RUN"):
            for command in re.split(r"&&|;", text):
                if re.search(r"\bpip .*(install|wheel) ", command):
                    assert "--require-hashes" in command or "--no-index" in command or " wheel " in command, command
                    assert " wheel " not in command or "--no-deps --no-build-isolation" in command, command
    assert not re.search(r"https?://|apt-get|curl |ADD |latest", path.read_text())


@both_files
def test_copied_files_exist_and_are_in_the_context(path: Path) -> None:
    for stage in stages(path):
        for text in stage.texts("COPY"):
            *sources, _ = Instruction("COPY", text).words()
            if sources[0].startswith("--from="):
                assert sources[0] == "--from=build"
                continue
            for source in sources:
                files = [ROOT / source] if (ROOT / source).is_file() else [*(ROOT / source).rglob("*.py")]
                assert files
                included = [
                    images.is_in_context(str(file.relative_to(ROOT)))
                    for file in files
                    if "__pycache__" not in file.parts
                ]
                assert included
                assert all(included), source


def test_no_data_is_in_the_context() -> None:
    for name in ("data/table.sqlite", ".git/config", ".venv/pyvenv.cfg", "build/x", "layers/x/__pycache__/a.pyc"):
        assert not images.is_in_context(name), name


def test_the_command_port_volume_and_health_check_of_the_server() -> None:
    stage = final(SERVER)
    command = [*stage.last("ENTRYPOINT").words(), *stage.last("CMD").words()]
    assert command == ["afterglow", "run", "--path", "/data", "--host", "0.0.0.0", "--port", "8000"]
    assert stage.texts("EXPOSE") == ["8000"]
    assert stage.texts("VOLUME") == ["/data"]
    (check,) = stage.texts("HEALTHCHECK")
    assert "'127.0.0.1', 8000" in check
    (path,) = re.findall(r"'(/api/[^']*)'", check)
    assert path in {route.path for route in ROUTES}


@pytest.mark.skipif(not HADOLINT.is_file(), reason="hadolint is not installed: make .venv-hadolint/.ready")
@both_files
def test_hadolint_reports_nothing(path: Path) -> None:
    done = subprocess.run([HADOLINT, "--no-color", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(images.missing() is not None, reason=f"images cannot be built here: {images.missing()}")
def test_building_and_running_the_server(tmp_path: Path) -> None:
    context = images.context_of(ROOT, tmp_path / "context")
    image = images.build(SERVER, context, tmp_path / "stages")
    try:
        shutil.rmtree(context)
        outside = image.needed("/opt/afterglow")
        assert not [name for name in outside if not name.startswith(tuple(NEEDED))]
        listed = image.run(["find", "/opt/afterglow", "-path", "*/bin/*", "-name", "pip*"])
        assert not listed
        sealed = image.enter(["grep", "^overlay / overlay ro,", "/proc/self/mounts"], unprivileged=True)
        subprocess.run(sealed, check=True, capture_output=True)
        options = {
            "start": image.enter(image.command, unprivileged=True),
            "check": image.enter(image.healthcheck, unprivileged=True),
            "port": 8000,
        }
        done = subprocess.run(
            ["unshare", "--net", sys.executable, "-m", "tests.deploy.inside"],
            input=json.dumps(options),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["ids"] == [["b", "a"]]
        assert result["documents"] == [["two", "one"]]
        assert result["process"]["Uid"].split() == ["10001"] * 4
        assert result["process"]["CapBnd"] == "0" * 16
        assert f"pid {result['process']['Pid']}" in done.stderr
        files = {file.name for file in (image.files / "data").iterdir()}
        assert files - {"indexer.lock", "compactor.lock", "reserve"} == {"objects", "table.sqlite"}
    finally:
        shutil.rmtree(tmp_path / "stages")
