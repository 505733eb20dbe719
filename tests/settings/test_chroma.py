"""Chroma's variables, and its YAML file."""

from pathlib import Path

import pytest

from afterglow.settings import Settings, from_environment, resolve

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


def test_chromas_variables_are_honoured() -> None:
    environ = {
        "CHROMA_PORT": "9000",
        "CHROMA_LISTEN_ADDRESS": "0.0.0.0",
        "CHROMA_PERSIST_PATH": "/data",
        "CHROMA_ALLOW_RESET": "TRUE",
        "CHROMA_MAX_PAYLOAD_SIZE_BYTES": "1000",
    }
    expected = Settings(port=9000, host="0.0.0.0", path="/data", allow_reset=True, max_body_bytes=1000)
    assert from_environment(environ) == expected
    assert from_environment(dict.fromkeys(environ, "")) == Settings()
    with pytest.raises(ValueError, match="CHROMA_PORT must be a whole number, got 'http'"):
        from_environment({"CHROMA_PORT": "http"})


def test_chromas_file_is_honoured(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "port: 9000\nlisten_address: 0.0.0.0\npersist_path: /data\nallow_reset: true\n"
        'cors_allow_origins: ["https://example.org", "*"]\nmax_payload_size_bytes: 1000\nsqlitedb:\n  hash_type: md5\n'
    )
    resolved = resolve({"AFTERGLOW_CONFIG": str(file)})
    assert resolved.settings == Settings(
        port=9000,
        host="0.0.0.0",
        path="/data",
        allow_reset=True,
        max_body_bytes=1000,
        cors_allow_origins="https://example.org,*",
    )
    assert set(resolved.sources.values()) == {str(file)}
    assert resolved.messages == [f"{file}: sqlitedb has no counterpart here and is ignored"]
