"""Images built and run without an engine: each stage an overlay of this machine, where its instructions are carried
out as they stand, with this machine's Python 3.13 as the base image's.

What this shows: the steps work in this order on what the context holds, and what is copied into the last stage starts,
as the user it names, without a capability. What it does not: which libraries and programs the base image has; those
that the installed ones need are listed by `needed`.

Needs root, for mounts in a namespace of its own, which end with each process.
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

_PASSED = (
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
    """This machine's Python 3.13: the folder it is installed in."""
    for each in (*Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13"), shutil.which("python3.13")):
        if each:
            return Path(each).resolve().parents[1]
    return None


def missing() -> str | None:
    """What this machine lacks for it."""
    if os.geteuid() != 0:
        return "images are put together as root only"
    if python() is None:
        return "needs Python 3.13"
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False)
    return f"needs namespaces: {tried.stderr.decode()}" if tried.returncode else None


@dataclass(slots=True)
class Image:
    """A stage as far as it has come: its files, and what its instructions say of how to run it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    directory: str = "/"
    user: str = "0:0"
    volumes: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    @property
    def files(self) -> Path:
        """What differs from this machine's files."""
        return self.folder / "upper"

    def entering(
        self,
        command: Sequence[str],
        extra: Mapping[str, str] | None = None,
        *,
        unprivileged: bool = False,
        inherit: bool = False,
    ) -> list[str]:
        """What runs the command among the image's files and in its environment.

        `unprivileged`: as its user, without capabilities, and with nothing to write to but its volumes and /tmp.
        `inherit`: and in that of whoever runs this, as when an engine hands variables on.
        """
        root = self.folder / "root"
        volumes = [_VOLUME.format(root=root, volume=each) for each in self.volumes]
        seal = " ".join([*volumes, _SEAL.format(root=root)]) if unprivileged else ""
        mount = _MOUNT.format(upper=self.files, work=self.folder / "work", root=root, seal=seal)
        user, group = self.user.split(":")
        drop = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
        environment = [f"{name}={value}" for name, value in {**self.environment, **(extra or {})}.items()]
        clean = [] if inherit else ["--ignore-environment"]
        start = ["sh", "-c", 'cd "$0" && exec "$@"', self.directory, *(drop if unprivileged else []), *command]
        return ["unshare", "--mount", "sh", "-c", mount, "sh", "/usr/bin/env", *clean, *environment, *start]

    def run(self, command: Sequence[str], extra: Mapping[str, str] | None = None) -> str:
        """Run it to its end; what it printed. Raises AssertionError."""
        done = subprocess.run(self.entering(command, extra), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def needed(self, folder: str) -> set[str]:
        """The libraries outside of `folder` that those in it are linked with, by name."""
        listed = self.run(["sh", "-c", f"find {folder} -name '*.so*' -type f -exec ldd {{}} +"])
        lines = [line.split() for line in listed.splitlines() if line.startswith("\t") and "statically" not in line]
        assert not [line for line in lines if "not" in line]
        return {Path(line[0]).name for line in lines if not (len(line) > 2 and line[2].startswith(folder))}


def build(dockerfile: Path, context: Path, into: Path) -> Image:
    """The image of the last stage. `context` is the folder that is built from, with `.dockerignore` applied."""
    made: dict[str, Image] = {}
    image = None
    for number, stage in enumerate(stages(dockerfile)):
        image = made[stage.name] = base(into / f"stage-{number}")
        _carry_out(stage, image, made, context)
    assert image is not None
    return image


def passed() -> dict[str, str]:
    """What of this machine's variables pip needs to find packages."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PASSED)}


def base(folder: Path) -> Image:
    """A base image: `python` and `pip` where it has them."""
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True)
    image = Image(folder)
    home = python()
    assert home is not None
    for name in ("python", "python3", "python3.13"):
        image.run(["ln", "-sf", str(home / "bin" / "python3.13"), f"/usr/local/bin/{name}"])
    image.run(["ln", "-sf", str(home / "bin" / "pip3.13"), "/usr/local/bin/pip"])
    # The base image's is for everybody to read, this machine's may be in root's home.
    image.run(["chmod", "a+x", *[str(each) for each in home.parents], str(home)])
    return image


def _carry_out(stage: Stage, image: Image, made: Mapping[str, Image], context: Path) -> None:
    for each in stage.instructions:
        match each.word:
            case "RUN":
                image.run(["sh", "-c", each.text], passed())
            case "COPY":
                _copy(each, image, made, context)
            case "WORKDIR":
                image.directory = "/"
                image.run(["mkdir", "-p", each.text])
                image.directory = each.text
            case "ENV":
                image.environment |= dict(word.split("=", 1) for word in each.words())
            case "USER":
                image.user = each.text
            case "HEALTHCHECK":
                image.healthcheck = Instruction("CMD", each.text.partition("CMD ")[2]).words()
            case "ENTRYPOINT" | "CMD":
                image.command += each.words()
            case "VOLUME":
                image.volumes.append(each.text)
            case "EXPOSE":
                pass
            case _:
                raise AssertionError(f"{each.word} is not carried out here")


def _copy(copy: Instruction, image: Image, made: Mapping[str, Image], context: Path) -> None:
    words = copy.words()
    origin = context
    if words[0].startswith("--from="):
        origin = made[words.pop(0).removeprefix("--from=")].files
    *sources, target = words
    into = image.files / Path(image.directory, target).relative_to("/")
    for source in sources:
        found = origin / source.lstrip("/")
        if found.is_dir():
            shutil.copytree(found, into, symlinks=True, dirs_exist_ok=True)
        else:
            place = into / found.name if target.endswith("/") else into
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, place)


def context_of(root: Path, into: Path, *, everything: bool = False) -> Path:
    """What of the repository is sent to an engine: the files that git knows and `.dockerignore` does not leave out.

    `everything`: those too, as in a checkout.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (root / name).is_file() and (everything or kept(name)):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, into / name)
    return into


def kept(name: str) -> bool:
    """Whether a file is sent, by the rules of `.dockerignore`: the last that fits decides."""
    keep = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.removeprefix("!")
        if rule and not rule.startswith("#") and _fits(name, rule):
            keep = line.startswith("!")
    return keep


def _fits(name: str, rule: str) -> bool:
    parts = Path(name).parts
    beginnings = [Path(*parts[: count + 1]) for count in range(len(parts))]
    if rule.startswith("**/"):
        return any(each.match(rule.removeprefix("**/")) for each in beginnings)
    return any(len(each.parts) == len(Path(rule).parts) and each.match(rule) for each in beginnings)
