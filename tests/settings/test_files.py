"""The settings file: what it may hold, and how each mistake in it is told."""

from pathlib import Path

import pytest

from afterglow.settings import LOCAL_DEFAULTS, Settings, files


def read(path: Path, text: str) -> dict[str, object]:
    path.write_text(text)
    return {name: value.value for name, value in files.read(str(path))[0].items()}


def test_every_type_is_taken(tmp_path: Path) -> None:
    text = """
        path = "/srv/vectors"
        port = 9000
        recall_target = 1
        flush_idle_seconds = 0.5
        allow_reset = true
        cors_allow_origins = ["https://a.example", "https://b.example"]
    """
    assert read(tmp_path / "afterglow.toml", text) == {
        "path": "/srv/vectors",
        "port": 9000,
        "recall_target": 1.0,
        "flush_idle_seconds": 0.5,
        "allow_reset": True,
        "cors_allow_origins": "https://a.example,https://b.example",
    }


def test_every_default_can_be_written_and_read(tmp_path: Path) -> None:
    lines = []
    for name in Settings.__dataclass_fields__:
        value = getattr(LOCAL_DEFAULTS, name)
        lines.append(f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}")
    found = read(tmp_path / "afterglow.toml", "\n".join(lines))
    assert Settings(**found) == LOCAL_DEFAULTS  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "flush_ops = '7'", "flush_ops must be a whole number, got '7'"),
        ("a.toml", "flush_ops = true", "flush_ops must be a whole number, got True"),
        ("a.toml", "flush_ops = -1", "flush_ops must be neither negative nor infinite"),
        ("a.toml", "ttl_sweep_seconds = nan", "ttl_sweep_seconds must be neither negative nor infinite"),
        ("a.toml", "allow_reset = 1", "allow_reset must be true or false, got 1"),
        ("a.toml", "auth = ['keys', 1]", "auth must be a text"),
        ("a.toml", "FLUSH_OPS = 7", "FLUSH_OPS is not a setting; did you mean flush_ops?"),
        ("a.toml", "[server]\nport = 1", "server is not a setting"),
        ("a.toml", "port: 1", "line 1"),
        ("a.yaml", "- 1", "expected names with values, got list"),
        ("a.yaml", "port: [", "expected"),
        ("a.yml", "port: '1'", "port must be a whole number, got '1'"),
        ("a.yml", "cors_allow_origins: [1]", "cors_allow_origins must be a text"),
    ],
)
def test_a_mistake_is_named_with_the_file(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"must|not a|expected|line") as raised:
        read(tmp_path / name, text)
    assert str(raised.value).startswith(f"{tmp_path / name}: ")
    assert message in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.toml: cannot be read: no such file or directory"):
        files.read(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"path = '\xe9'")
    with pytest.raises(ValueError, match=r"latin\.toml: not UTF-8"):
        files.read(str(tmp_path / "latin.toml"))
    assert read(tmp_path / "empty.yaml", "") == {}
