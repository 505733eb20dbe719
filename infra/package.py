"""Builds the stack as one file that is installed without a checkout: templates, functions, layers of both processors.

Usage: ``package.py FOLDER [--bucket NAME --region REGION]``. Writes FOLDER/afterglow-stack-VERSION.zip and the same
files unpacked, as FOLDER/afterglow-VERSION-DIGEST. That name is their prefix in the bucket as well: a bucket holds many
releases, and every release has layers and functions of new names, so an update publishes a version of the API function.

A function's code must be in a bucket of the stack's region. The bucket is therefore a parameter of the packaged
template, `ReleaseBucket`. With --bucket and --region, INSTALL.md has the link that opens the console to create the
stack.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURES = ("arm64", "x86_64")
_SUFFIX = "-${Architecture}"
LAYERS = {
    "dependencies": ("DependenciesLayer", _SUFFIX),
    "imports": ("ImportsLayer", _SUFFIX),
    "embedding": ("EmbeddingLayer", _SUFFIX),
    "afterglow": ("AfterglowLayer", ""),
}
"""Folder in layers/ -> resource, and what its file's name ends with."""
_PARAMETER = """Parameters:
  ReleaseBucket:
    Type: String
{default}    AllowedPattern: ^[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]$
    Description: Bucket with the files of this release, in the region of the stack.
"""
_INSTALL = """# Install Afterglow {version}

These are all files of the stack. Copy them to a bucket in the region of the stack, once for each region:

    aws s3 cp --recursive . s3://{bucket}/{prefix}/

Whoever creates the stack needs `s3:GetObject` of them. Create it in the console, by this link:

<{link}>

or by a command:

    aws cloudformation create-stack --region {region} --stack-name afterglow \\
      --template-url {template} \\
      --parameters ParameterKey=ReleaseBucket,ParameterValue={bucket} \\
      --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND

`update-stack` with the same options updates it to this release.
"""


def build(into: Path) -> dict[str, Path]:
    """Build every function and layer; path in the release, without `.zip` -> folder with its contents."""
    parts = {f"functions/{path.name}": path for path in (ROOT / "functions").iterdir() if path.is_dir()}
    for layer, (resource, suffix) in LAYERS.items():
        for architecture in ARCHITECTURES if suffix else ARCHITECTURES[:1]:
            name = f"layers/{layer}{suffix.replace('${Architecture}', architecture)}"
            parts[name] = into / name
            subprocess.run(
                [
                    "make",
                    "--silent",
                    f"build-{resource}",
                    f"ARTIFACTS_DIR={parts[name]}",
                    f"ARCHITECTURE={architecture}",
                ],
                cwd=ROOT / "layers" / layer,
                stdout=sys.stderr,
                check=True,
            )
    return parts


def package(parts: Mapping[str, Path], version: str, into: Path, bucket: str = "", region: str = "") -> Path:
    """Write the files of a release; the folder that holds them. The same parts give the same bytes."""
    with tempfile.TemporaryDirectory(dir=into) as made:
        written = Path(made) / "files"
        for name, folder in sorted(parts.items()):
            _zip(folder, written / f"{name}.zip")
        (written / "infra").mkdir(parents=True)
        for path in (ROOT / "infra").glob("*.yaml"):
            (written / "infra" / path.name).write_bytes(path.read_bytes())
        (written / "LICENSE").write_bytes((ROOT / "LICENSE").read_bytes())
        template = (ROOT / "template.yaml").read_text()
        prefix = f"afterglow-{version}-{_digest(written, template)[:12]}"
        (written / "template.yaml").write_text(packaged(template, prefix, bucket))
        (written / "INSTALL.md").write_text(install(version, prefix, bucket or "BUCKET", region or "REGION"))
        shutil.rmtree(into / prefix, ignore_errors=True)
        return written.rename(into / prefix)


def packaged(template: str, prefix: str, bucket: str) -> str:
    """The template of a release, whose local files are those under `prefix` in the bucket. Raises ValueError."""
    source = f"{{ Bucket: !Ref ReleaseBucket, Key: !Sub '{prefix}/"
    text = re.sub(r"CodeUri: (functions/\w+)/", rf"CodeUri: {source}\1.zip' }}", template)
    for layer, (_, suffix) in LAYERS.items():
        text = text.replace(f"ContentUri: layers/{layer}/", f"ContentUri: {source}layers/{layer}{suffix}.zip' }}")
    url = f"https://s3.${{AWS::Region}}.${{AWS::URLSuffix}}/${{ReleaseBucket}}/{prefix}"
    text = re.sub(r"TemplateURL: (infra/\w+\.yaml)", rf"TemplateURL: !Sub {url}/\1", text)
    default = f"    Default: {bucket}\n" if bucket else ""
    text = text.replace("\nParameters:\n", "\n" + _PARAMETER.format(default=default), 1)
    text = text.replace("Parameters: [Architecture, ", "Parameters: [ReleaseBucket, Architecture, ", 1)
    if left := re.findall(r"(?:Uri|URL): \w+/.*", text):
        raise ValueError(f"the packaged template would still name local files: {', '.join(left)}")
    return text


def install(version: str, prefix: str, bucket: str, region: str) -> str:
    """The page that says how to create the stack from a release."""
    template = f"https://s3.{region}.amazonaws.com/{bucket}/{prefix}/template.yaml"
    query = f"templateURL={quote(template, safe='')}&stackName=afterglow&param_ReleaseBucket={bucket}"
    link = f"https://console.aws.amazon.com/cloudformation/home?region={region}#/stacks/quickcreate?{query}"
    return _INSTALL.format(version=version, prefix=prefix, bucket=bucket, region=region, template=template, link=link)


def _zip(folder: Path, target: Path) -> None:
    """Compress a folder; names in order and without times, so that equal contents are equal bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if not path.is_file() or (folder.parent == ROOT / "functions" and "__pycache__" in name.parts):
                continue
            entry = zipfile.ZipInfo(name.as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, path.read_bytes())


def _digest(folder: Path, template: str) -> str:
    digest = hashlib.sha256(template.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def main() -> int:
    """Build, package, and print the paths; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bucket", default="")
    parser.add_argument("--region", default="")
    options = parser.parse_args()
    found = re.search(r'__version__ = "(.+)"', (ROOT / "layers/afterglow/afterglow/version.py").read_text())
    assert found is not None
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        parts = build(Path(made).resolve())
        release = package(parts, found[1], options.folder, options.bucket, options.region)
    artefact = options.folder / f"afterglow-stack-{found[1]}.zip"
    with zipfile.ZipFile(artefact, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in release.rglob("*") if path.is_file()):
            archive.write(path, Path(release.name) / path.relative_to(release))
    sys.stdout.write(f"{artefact}\n{release / 'INSTALL.md'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
