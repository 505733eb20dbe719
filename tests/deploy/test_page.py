"""docs/deploying.md: what its commands name exists, and the installation it describes is one."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from afterglow.cli.main import parser
from tests.deploy import images
from tests.deploy.dockerfiles import stages
from tests.deploy.nginx import SITE
from tests.docs.generated import ROOT

PAGE = ROOT / "docs" / "deploying.md"
BLOCKS = re.findall(r"^```sh( install)?\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
LINES = [line for _, block in BLOCKS for line in block.splitlines()]


def exec_starts() -> list[str]:
    texts = [each.read_text() for each in sorted((ROOT / "deploy").glob("*.service"))]
    return [line for text in texts for line in re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)]


def test_every_command_of_the_program_is_understood() -> None:
    found = re.findall(r"(?<=afterglow )(?:keys|backup|run|compact) [^`\n]*", PAGE.read_text())
    assert len(found) == 4
    for each in found:
        parser().parse_args(shlex.split(each))


def test_what_is_copied_and_built_is_there() -> None:
    named = {word for line in LINES for word in shlex.split(line) if re.match(r"(deploy|layers)/", word)}
    assert len(named) >= 6
    for each in named:
        assert (ROOT / each).is_file(), each


def test_the_container_is_run_as_its_image_says() -> None:
    stage = stages(ROOT / "Dockerfile")[-1]
    (run,) = [line for line in LINES if line.startswith("docker run --detach")]
    assert f":{stage.texts('EXPOSE')[0]} " in run
    assert f":{stage.texts('VOLUME')[0]} " in run
    assert stage.last("USER").text.split(":")[0] in PAGE.read_text()


def test_the_page_and_the_site_name_the_same_files() -> None:
    text = " ".join(LINES)
    for each in re.findall(r"(/etc/nginx/\S+\.htpasswd|vectors\.example\.com)", SITE.read_text()):
        assert each in text, each


@pytest.mark.slow
@pytest.mark.skipif(images.missing() is not None, reason=f"nothing can be installed aside here: {images.missing()}")
def test_the_installation_is_one(tmp_path: Path) -> None:
    machine = images.base(tmp_path / "machine")
    images.context_of(ROOT, machine.files / "checkout", everything=True)
    machine.directory = "/checkout"
    passed = images.passed()
    try:
        for line in next(block for mark, block in BLOCKS if mark).splitlines():
            command = line.removeprefix("sudo ")
            if not command.startswith("systemctl "):
                machine.run(["sh", "-e", "-c", command], passed)
        if shutil.which("systemd-analyze"):
            done = subprocess.run(
                machine.entering(["sh", "-c", "systemd-analyze verify --man=no /etc/systemd/system/afterglow*"]),
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, [line for line in done.stderr.splitlines() if "afterglow" in line]) == (0, [])
        # What systemd makes for the units, and what it starts as their user.
        machine.run(["install", "-d", "-o", "afterglow", "/var/lib/afterglow", "/var/lib/afterglow-backups"])
        as_user = ["setpriv", "--reuid=afterglow", "--regid=afterglow", "--init-groups"]
        keys = next(line for line in LINES if "keys create --path /var/lib/afterglow" in line)
        made = machine.run([*as_user, *shlex.split(keys.removeprefix("sudo -u afterglow "))])
        assert len(made.strip()) > 20
        backup = next(each for each in exec_starts() if " backup " in each)
        assert "0 objects" in machine.run([*as_user, *shlex.split(backup)])
        assert len(list((machine.files / "var/lib/afterglow-backups").iterdir())) == 1
    finally:
        shutil.rmtree(tmp_path / "machine")
