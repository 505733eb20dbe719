"""docs/deploying.md: its commands and the files they name are valid, and the described installation works."""

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
    texts = [unit.read_text() for unit in sorted((ROOT / "deploy").glob("*.service"))]
    return [line for text in texts for line in re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)]


def test_every_command_line_of_the_page_is_valid() -> None:
    commands = re.findall(r"(?<=afterglow )(?:keys|backup|run|compact) [^`\n]*", PAGE.read_text())
    assert len(commands) == 5
    for command in commands:
        parser().parse_args(shlex.split(command))


def test_the_files_that_are_copied_and_built_exist() -> None:
    files = {word for line in LINES for word in shlex.split(line) if re.match(r"(deploy|layers)/", word)}
    assert len(files) >= 6
    for file in files:
        assert (ROOT / file).is_file(), file


def test_the_container_uses_the_port_volume_and_user_of_the_image() -> None:
    stage = stages(ROOT / "Dockerfile")[-1]
    (run,) = [line for line in LINES if line.startswith("docker run --detach")]
    assert f":{stage.texts('EXPOSE')[0]} " in run
    assert f":{stage.texts('VOLUME')[0]} " in run
    assert stage.last("USER").text.split(":")[0] in PAGE.read_text()


def test_the_page_and_the_site_name_the_same_files() -> None:
    text = " ".join(LINES)
    for name in re.findall(r"(/etc/nginx/\S+\.htpasswd|vectors\.example\.com)", SITE.read_text()):
        assert name in text, name


@pytest.mark.slow
@pytest.mark.skipif(images.missing() is not None, reason=f"images cannot be built here: {images.missing()}")
def test_the_installation_works(tmp_path: Path) -> None:
    machine = images.base(tmp_path / "machine")
    images.context_of(ROOT, machine.files / "checkout", everything=True)
    machine.directory = "/checkout"
    environment = images.pip_environment()
    try:
        for line in next(block for mark, block in BLOCKS if mark).splitlines():
            command = line.removeprefix("sudo ")
            if not command.startswith("systemctl "):
                machine.run(["sh", "-e", "-c", command], environment)
        if shutil.which("systemd-analyze"):
            done = subprocess.run(
                machine.enter(["sh", "-c", "systemd-analyze verify --man=no /etc/systemd/system/afterglow*"]),
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, [line for line in done.stderr.splitlines() if "afterglow" in line]) == (0, [])
        # The directories that systemd creates for the units, and the commands that it runs as their user.
        machine.run(["install", "-d", "-o", "afterglow", "/var/lib/afterglow", "/var/lib/afterglow-backups"])
        as_user = ["setpriv", "--reuid=afterglow", "--regid=afterglow", "--init-groups"]
        keys = next(line for line in LINES if "keys create --path /var/lib/afterglow" in line)
        key = machine.run([*as_user, *shlex.split(keys.removeprefix("sudo -u afterglow "))])
        assert len(key.strip()) > 20
        backup = next(command for command in exec_starts() if " backup " in command)
        assert "0 objects" in machine.run([*as_user, *shlex.split(backup)])
        assert len(list((machine.files / "var/lib/afterglow-backups").iterdir())) == 1
    finally:
        shutil.rmtree(tmp_path / "machine")
