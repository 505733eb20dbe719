"""The settings in force: variables, the file, the defaults, and which comes first."""

from pathlib import Path

import pytest

from afterglow.settings import LOCAL_DEFAULTS, Settings, from_environment, resolve


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


def test_a_token_is_not_printed() -> None:
    assert "test-token" not in repr(Settings(auth="token", auth_token="test-token"))


def test_misspelt_variables_are_named() -> None:
    environ = {"AFTERGLOW_FLUSH_OP": "1", "AFTERGLOW_XYZZY": "1", "AFTERGLOW_AUTH": "off", "PATH": "/"}
    assert resolve(environ).messages == [
        "AFTERGLOW_FLUSH_OP is not a setting; did you mean AFTERGLOW_FLUSH_OPS?",
        "AFTERGLOW_XYZZY is not a setting",
    ]


def test_a_variable_comes_before_chromas_and_both_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "afterglow.toml"
    file.write_text('port = 1\nhost = "file"\npath = "file"\n')
    environ = {
        "AFTERGLOW_CONFIG": str(file),
        "AFTERGLOW_PORT": "3",
        "CHROMA_PORT": "2",
        "CHROMA_LISTEN_ADDRESS": "chroma",
    }
    resolved = resolve(environ)
    assert resolved.settings == Settings(port=3, host="chroma", path="file")
    assert resolved.sources == {"port": "AFTERGLOW_PORT", "host": "CHROMA_LISTEN_ADDRESS", "path": str(file)}
    assert not resolved.messages


def test_a_kubernetes_service_does_not_set_the_port() -> None:
    """Kubernetes sets `<NAME>_PORT` in every pod for each service."""
    environ = {"AFTERGLOW_PORT": "tcp://10.0.0.1:8000", "CHROMA_PORT": "tcp://10.0.0.2:8000"}
    assert from_environment(environ) == LOCAL_DEFAULTS


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("port", "70000", "at most 65535"),
        ("workers", "0", "from 1 to 64"),
        ("index", "tree", "one of auto, graph, lists"),
        ("recall_target", "1.5", "above 0 and at most 1"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_source(tmp_path: Path, name: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^AFTERGLOW_{name.upper()} must be {message}"):
        from_environment({f"AFTERGLOW_{name.upper()}": value})
    file = tmp_path / "afterglow.toml"
    file.write_text(f"{name} = {value}\n" if value[0].isdigit() else f"{name} = '{value}'\n")
    with pytest.raises(ValueError, match=f"^{file}: {name} must be {message}"):
        from_environment({"AFTERGLOW_CONFIG": str(file)})


@pytest.mark.parametrize("name", ["path", "embedding_model_dir", "reranker_model_dir", "cache_dir", "auth_file"])
def test_home_directories_in_paths(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From variables and files alike; a user without a home directory is named at the start, not by a later failure."""
    monkeypatch.setenv("HOME", str(tmp_path))
    variable = f"AFTERGLOW_{name.upper()}"
    assert getattr(from_environment({variable: "~/mine"}), name) == str(tmp_path / "mine")
    assert getattr(from_environment({variable: "/x/~/mine"}), name) == "/x/~/mine"
    file = tmp_path / "afterglow.toml"
    file.write_text(f'{name} = "~/mine"\n')
    assert getattr(from_environment({"AFTERGLOW_CONFIG": str(file)}), name) == str(tmp_path / "mine")
    with pytest.raises(ValueError, match=f"{variable} must be a path, and its ~ a user with a home directory"):
        from_environment({variable: "~no-such-user/mine"})
    default = getattr(Settings(), name)
    assert getattr(from_environment({variable: default}), name) == default
