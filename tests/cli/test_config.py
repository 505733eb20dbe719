"""`config show`: values and their sources, from variables, from a settings file of ours and of Chroma's."""

from pathlib import Path

from tests.support.commands import run_command


def rows(*arguments: str, **env: str) -> dict[str, list[str]]:
    """The columns of each setting."""
    done = run_command("config", "show", *arguments, env=env)
    assert done.returncode == 0, done.stderr
    return {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}


def test_settings_name_their_sources(tmp_path: Path) -> None:
    file = tmp_path / "afterglow.toml"
    file.write_text('flush_ops = 7\nport = 9000\nindex = "graph"\n')
    shown = rows(
        "--config",
        str(file),
        AFTERGLOW_FLUSH_OPS="77",
        AFTERGLOW_AUTH_TOKEN="a-secret",
        OPENAI_API_KEY="another-secret",
        CHROMA_PORT="9001",
        CHROMA_CORS_ALLOW_ORIGINS='["https://example.org"]',
    )
    assert shown["flush_ops"] == ["77", "AFTERGLOW_FLUSH_OPS"]
    assert shown["port"] == ["9001", "CHROMA_PORT"]
    assert shown["index"] == ['"graph"', str(file)]
    assert shown["cors_allow_origins"] == ['"https://example.org"', "CHROMA_CORS_ALLOW_ORIGINS"]
    assert shown["gc_grace_seconds"] == ["40.0", "default"]
    assert shown["auth_token"] == ["(set)", "AFTERGLOW_AUTH_TOKEN"]
    assert shown["openai_api_key"] == ["(set)", "OPENAI_API_KEY"]
    assert rows()["index"] == ['"auto"', "default"], "the file of one command is not that of the next"


def test_a_broken_file_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "afterglow.toml"
    file.write_text("auht = 'keys'\n")
    done = run_command("config", "show", env={"AFTERGLOW_CONFIG": str(file)})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"afterglow: {file}: auht is not a setting; did you mean auth?\n"


def test_what_is_ignored_in_chromas_file_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("port: 9002\nopen_telemetry:\n  service_name: chroma\n")
    done = run_command("config", "show", "--config", str(file))
    assert done.returncode == 0
    assert done.stderr == f"afterglow: warning: {file}: open_telemetry has no counterpart here and is ignored\n"
