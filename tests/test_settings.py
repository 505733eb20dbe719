"""Settings from the environment."""

import pytest

from afterglow.settings import Settings, from_environment


def test_nothing_given_is_the_default() -> None:
    assert from_environment({"AFTERGLOW_UNKNOWN": "1", "PATH": "/bin"}) == Settings()


def test_each_kind() -> None:
    given = {"AFTERGLOW_FLUSH_OPS": "7", "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.5", "AFTERGLOW_VERIFY_CHECKSUMS": "False"}
    assert from_environment(given) == Settings(flush_ops=7, flush_idle_seconds=0.5, verify_checksums=False)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("FOLD_OPS", "1.5", "a whole number"),
        ("FOLD_OPS", "-1", "neither negative"),
        ("FOLD_QUIET_SECONDS", "soon", "a number"),
        ("FOLD_QUIET_SECONDS", "nan", "neither negative"),
        ("FOLD_QUIET_SECONDS", "inf", "nor infinite"),
        ("VERIFY_CHECKSUMS", "yes", "true or false"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        from_environment({f"AFTERGLOW_{name}": text})
    assert f"AFTERGLOW_{name}" in str(raised.value)
    assert repr(text) in str(raised.value)


TOKEN = "chromadb.auth.token_authn.TokenAuthenticationServerProvider"
BASIC = "chromadb.auth.basic.BasicAuthServerProvider"


@pytest.mark.parametrize("auth", ["AUTH", "AUTHN"])
def test_who_asked_the_genuine_server_for_authentication_gets_it_here(auth: str) -> None:
    """By its names up to 0.5.0, and after."""
    given = {f"CHROMA_SERVER_{auth}_PROVIDER": TOKEN, f"CHROMA_SERVER_{auth}_CREDENTIALS": "test-token"}
    assert from_environment(given) == Settings(auth="token", auth_token="test-token")
    given = {f"CHROMA_SERVER_{auth}_PROVIDER": BASIC, f"CHROMA_SERVER_{auth}_CREDENTIALS_FILE": "server.htpasswd"}
    assert from_environment(given) == Settings(auth="htpasswd", auth_file="server.htpasswd")
    assert from_environment(given | {"AFTERGLOW_AUTH": "keys"}) == Settings(auth="keys")


@pytest.mark.parametrize("provider", [TOKEN, BASIC, "mine.Own", "Basic", "Token"])
def test_or_it_does_not_start(provider: str) -> None:
    with pytest.raises(ValueError, match="CHROMA_SERVER_AUTH_PROVIDER"):
        from_environment({"CHROMA_SERVER_AUTH_PROVIDER": provider})


def test_a_token_is_not_printed() -> None:
    assert "test-token" not in repr(Settings(auth="token", auth_token="test-token"))
