"""`afterglow run config.yaml`: the file decides where the server listens, and its workers read it too."""

from pathlib import Path

import pytest

from tests.support.server import HOST, free_port, script, spawn, wait_until_ready


@pytest.mark.slow
def test_chromas_file_starts_the_same_server(tmp_path: Path) -> None:
    port, data, file = free_port(), tmp_path / "vectors", tmp_path / "config.yaml"
    file.write_text(f"port: {port}\nlisten_address: {HOST}\npersist_path: {data}\nallow_reset: true\n")
    data.mkdir()
    (data / "chroma.sqlite3").touch()
    command = [script("afterglow"), "run", str(file), "--workers", "2"]
    server = spawn(command, tmp_path / "server", port, {"AFTERGLOW_MAX_BATCH_SIZE": "7"})
    try:
        wait_until_ready(server)
        with server.client() as client:
            assert client.request("POST", "/api/v2/reset").status == 200
            assert b'"max_batch_size":7' in client.request("GET", "/api/v2/pre-flight-checks").body
    finally:
        server.stop()
    warnings = [line for line in server.printed().splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert f"afterglow import --from-chroma {data} " in warnings[0]
    assert (data / "table.sqlite").is_file()
