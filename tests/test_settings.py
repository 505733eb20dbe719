"""Settings from the environment."""

import pytest

from afterglow.settings import Settings, from_environment


def test_an_empty_environment_gives_the_defaults() -> None:
    assert from_environment({"AFTERGLOW_UNKNOWN": "1", "PATH": "/bin"}) == Settings()


def test_every_type_is_parsed() -> None:
    environ = {"AFTERGLOW_FLUSH_OPS": "7", "AFTERGLOW_FLUSH_IDLE_SECONDS": "0.5", "AFTERGLOW_VERIFY_CHECKSUMS": "False"}
    assert from_environment(environ) == Settings(flush_ops=7, flush_idle_seconds=0.5, verify_checksums=False)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("FLUSH_OPS", "1.5", "a whole number"),
        ("FLUSH_OPS", "-1", "neither negative"),
        ("FLUSH_IDLE_SECONDS", "soon", "a number"),
        ("FLUSH_IDLE_SECONDS", "nan", "neither negative"),
        ("FLUSH_IDLE_SECONDS", "inf", "nor infinite"),
        ("VERIFY_CHECKSUMS", "yes", "true or false"),
    ],
)
def test_an_invalid_value_is_refused_and_its_variable_named(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        from_environment({f"AFTERGLOW_{name}": text})
    assert f"AFTERGLOW_{name}" in str(raised.value)
    assert repr(text) in str(raised.value)


TOKEN = "chromadb.auth.token_authn.TokenAuthenticationServerProvider"
BASIC = "chromadb.auth.basic.BasicAuthServerProvider"


@pytest.mark.parametrize("auth", ["AUTH", "AUTHN"])
def test_chromas_authentication_variables_are_honoured(auth: str) -> None:
    """With Chroma's variable names up to 0.5.0, and the later ones."""
    environ = {f"CHROMA_SERVER_{auth}_PROVIDER": TOKEN, f"CHROMA_SERVER_{auth}_CREDENTIALS": "test-token"}
    assert from_environment(environ) == Settings(auth="token", auth_token="test-token")
    environ = {f"CHROMA_SERVER_{auth}_PROVIDER": BASIC, f"CHROMA_SERVER_{auth}_CREDENTIALS_FILE": "server.htpasswd"}
    assert from_environment(environ) == Settings(auth="htpasswd", auth_file="server.htpasswd")
    assert from_environment(environ | {"AFTERGLOW_AUTH": "keys"}) == Settings(auth="keys")


@pytest.mark.parametrize("provider", [TOKEN, BASIC, "mine.Own", "Basic", "Token"])
def test_an_unknown_chroma_authentication_provider_is_refused(provider: str) -> None:
    with pytest.raises(ValueError, match="CHROMA_SERVER_AUTH_PROVIDER"):
        from_environment({"CHROMA_SERVER_AUTH_PROVIDER": provider})


def test_a_token_is_not_printed() -> None:
    assert "test-token" not in repr(Settings(auth="token", auth_token="test-token"))
