"""The packaged template: it names no local file, and every release has names of its own."""

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse
from zipfile import ZipFile

import pytest

from tests.infra import templates
from tests.infra.templates import NESTED, ROOT, TEMPLATE

_SPEC = spec_from_file_location("package", ROOT / "infra" / "package.py")
assert _SPEC is not None
assert _SPEC.loader is not None
package: Any = module_from_spec(_SPEC)
_SPEC.loader.exec_module(package)

PARTS = [
    *(
        "functions/api",
        "functions/embedder",
        "functions/importer",
        "functions/indexer",
        "functions/maintenance",
        "layers/afterglow",
    ),
    *(
        f"layers/{layer}-{architecture}"
        for layer in ("dependencies", "embedding", "imports")
        for architecture in ("arm64", "x86_64")
    ),
]

Release = Callable[..., Path]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """Packages parts of one file each, of which one has the given text."""

    def packaging(name: str = "first", text: str = "", **options: str) -> Path:
        into = tmp_path / name
        for part in PARTS:
            (into / part).mkdir(parents=True)
            (into / part / "file.py").write_text(text if part == "layers/imports-x86_64" else part)
        found: Path = package.package({part: into / part for part in PARTS}, "1.2.3", into, **options)
        return found

    return packaging


def _named(value: Any, folder: Path, architecture: str) -> Path:
    """The file of a release that CodeUri, ContentUri or TemplateURL stands for."""
    text = str(value["Key"]["Fn::Sub"] if "Key" in value else value["Fn::Sub"])
    start = "" if "Key" in value else "https://s3.${AWS::Region}.${AWS::URLSuffix}/${ReleaseBucket}/"
    assert text.startswith(f"{start}{folder.name}/")
    return folder / text.removeprefix(f"{start}{folder.name}/").replace("${Architecture}", architecture)


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_every_file_that_the_template_names_is_in_the_release(release: Release, architecture: str) -> None:
    folder = release()
    used = set()
    for resource in templates.read(folder / "template.yaml")["Resources"].values():
        properties = resource["Properties"]
        for name in ("CodeUri", "ContentUri", "TemplateURL"):
            if name in properties:
                path = _named(properties[name], folder, architecture)
                assert path.is_file(), path
                used.add(path)
    assert used >= {folder / "infra" / path.name for path in NESTED.values()}
    with ZipFile(folder / "layers" / f"dependencies-{architecture}.zip") as archive:
        assert archive.read("file.py").decode() == f"layers/dependencies-{architecture}"


def test_nothing_else_changes_in_the_template(release: Release) -> None:
    packaged, source = (templates.read(path) for path in (release() / "template.yaml", TEMPLATE))
    assert set(packaged["Parameters"]) == {*source["Parameters"], "ReleaseBucket"}
    groups = packaged["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(packaged["Parameters"])
    for name, resource in source["Resources"].items():
        other = packaged["Resources"][name]
        for given in ("CodeUri", "ContentUri", "TemplateURL"):
            assert (resource["Properties"].pop(given, None) is None) == (other["Properties"].pop(given, None) is None)
        assert resource == other


def test_a_release_is_the_same_bytes_again_and_another_one_has_other_names(release: Release) -> None:
    first, again, other = release("first", "1"), release("again", "1"), release("other", "2")
    assert first.name == again.name != other.name
    for path in first.rglob("*.zip"):
        assert path.read_bytes() == (again / path.relative_to(first)).read_bytes()


def test_the_launch_link_opens_the_template_of_the_bucket(release: Release) -> None:
    folder = release(bucket="releases-eu", region="eu-central-1")
    (link,) = [line for line in (folder / "INSTALL.md").read_text().splitlines() if line.startswith("<https://console")]
    url = urlparse(link.strip("<>"))
    route, _, query = url.fragment.partition("?")
    assert (parse_qs(url.query), route) == ({"region": ["eu-central-1"]}, "/stacks/quickcreate")
    assert parse_qs(query) == {
        "templateURL": [f"https://s3.eu-central-1.amazonaws.com/releases-eu/{folder.name}/template.yaml"],
        "stackName": ["afterglow"],
        "param_ReleaseBucket": ["releases-eu"],
    }
    assert templates.read(folder / "template.yaml")["Parameters"]["ReleaseBucket"]["Default"] == "releases-eu"


def test_a_local_file_that_would_be_left_is_an_error() -> None:
    text = TEMPLATE.read_text().replace("ContentUri: layers/imports/", "ContentUri: layers/another/")
    with pytest.raises(ValueError, match="layers/another/"):
        package.packaged(text, "prefix", "")
