"""Builds and runs images without a container engine. Each stage is an overlay of this machine's files, in which the
instructions are executed unchanged, with this machine's Python 3.13 in place of the base image's.

This tests that the steps work in this order on the files of the context, and that the last stage starts as its user
and without capabilities. It does not test which libraries and programs the base image has; `needed` lists the libraries
that the installed files need.

Needs root, for mounts in a separate namespace; they end with each process.
"""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.dockerfiles import Instruction, Stage, stages
from tests.docs.generated import ROOT

_PIP_VARIABLES = (
    "PIP_",
    "SSL_",
    "REQUESTS_",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_MOUNT = """
mount -t overlay overlay -o lowerdir=/,upperdir={upper},workdir={work} {root} &&
mount --rbind /dev {root}/dev && mount -t proc proc {root}/proc &&
mount -t tmpfs -o mode=1777 tmpfs {root}/tmp && {seal}
exec chroot {root} "$@"
"""
_SEAL = "mount -o remount,ro,bind {root} &&"
_VOLUME = "mount --bind {root}{volume} {root}{volume} &&"


def python() -> Path | None:
    """The installation folder of this machine's Python 3.13."""
    for program in (*Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13"), shutil.which("python3.13")):
        if program:
            return Path(program).resolve().parents[1]
    return None


def missing() -> str | None:
    """Why images cannot be built on this machine, None if they can."""
    if os.geteuid() != 0:
        return "images can be built as root only"
    if python() is None:
        return "needs Python 3.13"
    done = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False)
    return f"needs namespaces: {done.stderr.decode()}" if done.returncode else None


@dataclass(slots=True)
class Image:
    """A stage while it is built: its files, and how to run it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    directory: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    @property
    def files(self) -> Path:
        """The files that differ from this machine's."""
        return self.folder / "upper"

    def enter(
        self,
        command: Sequence[str],
        extra: Mapping[str, str] | None = None,
        *,
        unprivileged: bool = False,
        inherit: bool = False,
    ) -> list[str]:
        """The command line that runs a command in the image's files and environment.

        `unprivileged`: as the image's user, without capabilities; only its volumes and /tmp are writable.
        `inherit`: with the caller's environment variables too, as if an engine passed them on.
        """
        root = self.folder / "root"
        volumes = [_VOLUME.format(root=root, volume=volume) for volume in self.volumes]
        seal = " ".join([*volumes, _SEAL.format(root=root)]) if unprivileged else ""
        mount = _MOUNT.format(upper=self.files, work=self.folder / "work", root=root, seal=seal)
        user, group = self.user.split(":")
        drop = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        environment = [f"{name}={value}" for name, value in {**self.environment, **(extra or {})}.items()]
        clean = [] if inherit else ["--ignore-environment"]
        start = ["sh", "-c", 'cd "$0" && exec "$@"', self.directory, *(drop if unprivileged else []), *command]
        return ["unshare", "--mount", "sh", "-c", mount, "sh", "/usr/bin/env", *clean, *environment, *start]

    def run(self, command: Sequence[str], extra: Mapping[str, str] | None = None) -> str:
        """Runs a command and returns its output. Raises AssertionError if it fails."""
        done = subprocess.run(self.enter(command, extra), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def needed(self, folder: str) -> set[str]:
        """The names of the libraries outside of `folder` that the libraries in it are linked with."""
        listed = self.run(["sh", "-c", f"find {folder} -name '*.so*' -type f -exec ldd {{}} +"])
        lines = [line.split() for line in listed.splitlines() if line.startswith("\t") and "statically" not in line]
        assert not [line for line in lines if "not" in line]
        return {Path(line[0]).name for line in lines if not (len(line) > 2 and line[2].startswith(folder))}


def build(dockerfile: Path, context: Path, into: Path) -> Image:
    """The image of the last stage. `context` is the build context, with `.dockerignore` applied."""
    images: dict[str, Image] = {}
    image = None
    for number, stage in enumerate(stages(dockerfile)):
        image = images[stage.name] = base(into / f"stage-{number}")
        _execute(stage, image, images, context)
    assert image is not None
    return image


def pip_environment() -> dict[str, str]:
    """The environment variables of this machine that pip needs to download packages."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PIP_VARIABLES)}


def base(folder: Path) -> Image:
    """A base image, with `python` and `pip` in the same paths as in Python's images."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True)
    image = Image(folder)
    home = python()
    assert home is not None
    for name in ("python", "python3", "python3.13"):
        image.run(["ln", "-sf", str(home / "bin" / "python3.13"), f"/usr/local/bin/{name}"])
    image.run(["ln", "-sf", str(home / "bin" / "pip3.13"), "/usr/local/bin/pip"])
    # Every user can read the base image's Python; this machine's may be in the home of root.
    image.run(["chmod", "a+x", *[str(parent) for parent in home.parents], str(home)])
    return image


def _execute(stage: Stage, image: Image, images: Mapping[str, Image], context: Path) -> None:
    for instruction in stage.instructions:
        match instruction.word:
            case "RUN":
                image.run(["sh", "-c", instruction.text], pip_environment())
            case "COPY":
                _copy(instruction, image, images, context)
            case "WORKDIR":
                image.directory = "/"
                image.run(["mkdir", "-p", instruction.text])
                image.directory = instruction.text
            case "ENV":
                image.environment |= dict(word.split("=", 1) for word in instruction.words())
            case "USER":
                image.user = instruction.text
            case "HEALTHCHECK":
                image.healthcheck = Instruction("CMD", instruction.text.partition("CMD ")[2]).words()
            case "ENTRYPOINT" | "CMD":
                image.command += instruction.words()
            case "VOLUME":
                image.volumes.append(instruction.text)
            case "EXPOSE":
                pass
            case _:
                raise AssertionError(f"{instruction.word} is not supported here")


def _copy(copy: Instruction, image: Image, images: Mapping[str, Image], context: Path) -> None:
    words = copy.words()
    source_root = context
    if words[0].startswith("--from="):
        source_root = images[words.pop(0).removeprefix("--from=")].files
    *sources, target = words
    into = image.files / Path(image.directory, target).relative_to("/")
    for source in sources:
        path = source_root / source.lstrip("/")
        if path.is_dir():
            shutil.copytree(path, into, symlinks=True, dirs_exist_ok=True)
        else:
            target_file = into / path.name if target.endswith("/") else into
            target_file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target_file)


def context_of(root: Path, into: Path, *, everything: bool = False) -> Path:
    """Copies the build context of the repository: the files known to git that `.dockerignore` does not exclude.

    `everything`: includes the excluded files, as in a checkout.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (root / name).is_file() and (everything or is_in_context(name)):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, into / name)
    return into


def is_in_context(name: str) -> bool:
    """Whether a file is in the build context: the last matching rule of `.dockerignore` decides."""
    included = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!")
        if rule and not rule.startswith("#") and _matches(name, rule):
            included = line.startswith("!")
    return included


def _matches(name: str, rule: str) -> bool:
    parts = Path(name).parts
    prefixes = [Path(*parts[: count + 1]) for count in range(len(parts))]
    if rule.startswith("**/"):
        return any(prefix.match(rule.removeprefix("**/")) for prefix in prefixes)
    return any(len(prefix.parts) == len(Path(rule).parts) and prefix.match(rule) for prefix in prefixes)
