"""The compose file: its form, and that it runs the image as `docker run` on the page does."""

import re
import shlex
from typing import Any

import yaml

from tests.deploy.dockerfiles import stages
from tests.deploy.test_page import LINES
from tests.docs.generated import ROOT

FILE = ROOT / "deploy" / "compose.yaml"
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def service(**variables: str) -> dict[str, Any]:
    """The service, with variables as Compose substitutes them."""
    text = VARIABLE.sub(lambda match: variables.get(match[1]) or match[2], FILE.read_text())
    assert "${" not in text
    content = yaml.safe_load(text)
    assert set(content) == {"name", "services", "volumes"}
    (found,) = content["services"].values()
    volume = found["volumes"][0].partition(":")[0]
    assert volume.startswith(("/", "./")) or volume in content["volumes"]
    assert isinstance(found, dict)
    return found


def test_it_runs_the_image_as_the_page_does() -> None:
    (line,) = [line for line in LINES if line.startswith("docker run --detach")]
    words = shlex.split(line)
    options = {word: words[number + 1] for number, word in enumerate(words) if word.startswith("--")}
    found = service()
    assert found["image"] == words[-1]
    assert found["restart"] == options["--restart"]
    assert found["ports"] == [options["--publish"]]
    assert found["volumes"] == [options["--volume"]]
    assert found["read_only"] is ("--read-only" in options)
    assert found["tmpfs"] == [options["--tmpfs"]]
    assert found["cap_drop"] == [options["--cap-drop"]]
    assert found["security_opt"] == [options["--security-opt"]]


def test_it_fits_the_image() -> None:
    stage = stages(ROOT / "Dockerfile")[-1]
    found = service()
    assert (FILE.parent / found["build"]["context"]).resolve() == ROOT
    assert found["user"] == stage.last("USER").text
    assert found["ports"][0].rpartition(":")[2] == stage.texts("EXPOSE")[0]
    assert found["volumes"][0].rpartition(":")[2] == stage.texts("VOLUME")[0]


def test_a_directory_of_its_owner_takes_the_place_of_the_volume() -> None:
    found = service(DATA="/srv/afterglow", OWNER="1000:1000", AFTERGLOW_AUTH="keys")
    assert found["volumes"] == ["/srv/afterglow:/data"]
    assert found["user"] == "1000:1000"
    assert found["environment"] == {"AFTERGLOW_AUTH": "keys"}
