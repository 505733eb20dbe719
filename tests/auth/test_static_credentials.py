"""Password hashes, the htpasswd file, the static token."""

import os
import time
from pathlib import Path

import bcrypt
import pytest

from afterglow.auth import Grant, Role, password_hashes
from afterglow.auth.credentials import Credential
from afterglow.auth.static_credentials import PasswordFile, StaticToken
from afterglow.errors import InvalidArgument, Unavailable
from afterglow.settings import System

LONG = "päss wörd 0123456789abcdefghi"


def quick(password: str) -> bytes:
    """A bcrypt hash of the fewest rounds, spelled as `htpasswd -B` does."""
    return bcrypt.hashpw(password.encode(), b"$2b$04$abcdefghijklmnopqrstuu").replace(b"$2b$", b"$2y$")


@pytest.mark.parametrize(
    ("password", "hashed"),
    [
        # As `openssl passwd -apr1` has them.
        ("admin", b"$apr1$ab1./xyz$uSXE1rFwo..G3tQnQND/q0"),
        ("", b"$apr1$ab1./xyz$28PQBuHCl63NbmpUsvoAq0"),
        (LONG, b"$apr1$ab1./xyz$J3WYnXMz24sLhLV/0Zj.w/"),
        ("x", b"$apr1$ab1./xyz$NOsuxPO6EZ2Cq7JyjydZm/"),
        ("admin", b"{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc="),
        ("admin", quick("admin")),
        (LONG, quick(LONG)),
        ("x" * 100, quick("x" * 72)),
        ("", quick("")),
        ("a\0b", bcrypt.hashpw(b"a\0b", b"$2b$04$abcdefghijklmnopqrstuu")),
    ],
)
def test_every_type_of_hash(password: str, hashed: bytes) -> None:
    assert password_hashes.is_known(hashed)
    assert password_hashes.matches(password.encode(), hashed)
    assert not password_hashes.matches(b"!" + password.encode(), hashed)
    assert not password_hashes.matches(password.encode()[:-1] + b"!", hashed) or len(password) > 72


@pytest.mark.parametrize(
    "hashed", [b"", b"admin", b"$1$ab$" + b"x" * 22, b"$5$salt$" + b"x" * 43, b"{SSHA}" + b"x" * 28, b"rl1ZbVfpIbDR2"]
)
def test_other_kinds_are_not_known(hashed: bytes) -> None:
    assert not password_hashes.is_known(hashed)


def written(path: Path, **users: bytes) -> Path:
    """The file, visibly changed."""
    path.write_bytes(
        b"# users\n\n" + b"".join(user.encode() + b":" + password_hash + b"\n" for user, password_hash in users.items())
    )
    moment = time.time_ns() + len(users) * 1_000_000_000
    os.utime(path, ns=(moment, moment))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "server.htpasswd", admin=quick("admin"), eve=b"{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=")


def test_users_of_the_file_may_do_everything(path: Path) -> None:
    file = PasswordFile(str(path), System())
    for user in (b"admin", b"eve"):
        assert file.find(Credential(user, b"admin")) == Grant(user.decode(), Role.ADMIN, None, None)
        assert file.find(Credential(user, b"wrong")) is None
    for nobody in (Credential(b"nobody", b"admin"), Credential(None, b"admin"), Credential(b"", b"")):
        assert file.find(nobody) is None


def test_a_changed_file_is_read_again(path: Path) -> None:
    file = PasswordFile(str(path), System())
    assert file.find(Credential(b"admin", b"admin")) is not None
    written(path, admin=quick("other"))
    assert file.find(Credential(b"admin", b"admin")) is None
    assert file.find(Credential(b"admin", b"other")) is not None
    assert file.find(Credential(b"eve", b"admin")) is None
    path.unlink()
    with pytest.raises(Unavailable, match="cannot be read"):
        file.find(Credential(b"admin", b"other"))


def test_a_slow_hash_is_computed_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[bytes] = []
    real = password_hashes.matches

    def counted(password: bytes, hashed: bytes) -> bool:
        computed.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr(password_hashes, "matches", counted)
    file = PasswordFile(str(path), System())
    for _ in range(3):
        assert file.find(Credential(b"admin", b"admin")) is not None
    assert len(computed) == 1
    # Who is not there is compared with somebody all the same.
    file.find(Credential(b"nobody", b"admin"))
    assert computed == [computed[0]] * 2


@pytest.mark.parametrize("text", ["", "# nobody\n", "admin\n", "admin:admin\n", "a:$5$salt$" + "x" * 43 + "\n"])
def test_a_file_that_says_nothing_or_too_much_does_not_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "users").write_text(text)
    with pytest.raises(InvalidArgument, match="users"):
        PasswordFile(str(tmp_path / "users"), System())


def test_a_file_that_is_not_there_does_not_start(tmp_path: Path) -> None:
    for path in ("", str(tmp_path / "nosuch")):
        with pytest.raises(InvalidArgument):
            PasswordFile(path, System())


def test_the_token() -> None:
    token = StaticToken("test-token")
    assert token.find(Credential(None, b"test-token")) == Grant("anonymous", Role.ADMIN, None, None)
    assert token.find(Credential(None, b"Test-Token")) is None
    assert token.find(Credential(None, b"")) is None
    with pytest.raises(InvalidArgument, match="AFTERGLOW_AUTH_TOKEN"):
        StaticToken("")
