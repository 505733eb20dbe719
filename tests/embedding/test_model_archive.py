"""Fetching the model: complete or absent, once for all processes, and what a failure leaves."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from afterglow.embedding import local_model, model_archive
from afterglow.embedding.embedder import Purpose
from afterglow.embedding.model_archive import Archive, fetch, find
from afterglow.errors import StorageFull, Unavailable
from afterglow.settings import Settings, System


@pytest.fixture(scope="module")
def packed(model_folder: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name in ("model.onnx", "tokenizer.json"):
            tar.add(model_folder / name, f"onnx/{name}")
    return content.getvalue()


class FileServer:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sent = len(content)
        self.requests = 0
        self.go = threading.Event()
        self.go.set()


@pytest.fixture
def file_server(packed: bytes) -> Iterator[tuple[FileServer, Archive]]:
    file_server = FileServer(packed)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file_server.requests += 1
            assert file_server.go.wait(30)
            self.send_response(200)
            self.send_header("content-length", str(len(file_server.content)))
            self.end_headers()
            self.wfile.write(file_server.content[: file_server.sent])

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield file_server, Archive(f"http://127.0.0.1:{server.server_address[1]}/", hashlib.sha256(packed).hexdigest())
    server.shutdown()
    thread.join()
    server.server_close()


def nothing(_received: int, _total: int) -> None:
    pass


def test_the_archive_is_fetched_once(file_server: tuple[FileServer, Archive], tmp_path: Path) -> None:
    server, archive = file_server
    progress: list[tuple[int, int]] = []
    files = fetch(tmp_path, archive, lambda *numbers: progress.append(numbers))
    assert files == tmp_path / "onnx" == find(tmp_path) == find(tmp_path / "onnx")
    assert progress[-1] == (len(server.content), len(server.content))
    fetch(tmp_path, archive, nothing)
    (tmp_path / "onnx" / "model.onnx").unlink()  # the archive is unpacked again, not fetched
    assert fetch(tmp_path, archive, nothing) == files
    assert server.requests == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".afterglow.lock", "onnx", "onnx.tar.gz"]


def test_concurrent_fetches_are_one(file_server: tuple[FileServer, Archive], tmp_path: Path) -> None:
    server, archive = file_server
    threads = [threading.Thread(target=fetch, args=(tmp_path, archive, nothing)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert find(tmp_path) is not None
    assert server.requests == 1


@pytest.mark.parametrize("damage", ["truncated", "changed"])
def test_a_damaged_archive_is_not_used(
    file_server: tuple[FileServer, Archive], tmp_path: Path, damage: str, packed: bytes
) -> None:
    server, archive = file_server
    if damage == "truncated":
        server.sent = 100
    else:
        server.content = packed[:-1] + b"?"
    with pytest.raises(Unavailable):
        fetch(tmp_path, archive, nothing)
    assert find(tmp_path) is None
    server.content, server.sent = packed, len(packed)
    assert fetch(tmp_path, archive, nothing) is not None


def test_no_network_and_no_place(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot be fetched from http://127\.0\.0\.1:9/.*MODEL_DIR may name"):
        fetch(tmp_path, Archive("http://127.0.0.1:9/", ""), nothing)
    (tmp_path / "file").touch()
    with pytest.raises(StorageFull, match="cannot be stored in"):
        fetch(tmp_path / "file", Archive("http://127.0.0.1:9/", ""), nothing)


def test_texts_wait_for_the_model(
    file_server: tuple[FileServer, Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, archive = file_server
    monkeypatch.setattr(model_archive, "MINI_LM", archive)
    monkeypatch.setattr(local_model, "_PATIENCE_SECONDS", 0.01)
    system = System()
    server.go.clear()
    model = local_model.LocalModel(Settings(embedding_model_dir=str(tmp_path / model_archive.NAME)), system)
    deadline = system.monotonic() + 60
    for _ in range(2):
        with pytest.raises(Unavailable, match="is being fetched \\(0 of about 80 MB\\)") as caught:
            model.embed(["cat"], Purpose.QUERY, deadline)
        assert caught.value.retry_after == 5
    server.go.set()
    monkeypatch.setattr(local_model, "_PATIENCE_SECONDS", 30.0)
    assert len(model.embed(["cat"], Purpose.QUERY, deadline).vectors) == 1
    assert server.requests == 1
    model.close()


def test_a_folder_of_ones_own_is_not_filled(tmp_path: Path) -> None:
    model = local_model.LocalModel(Settings(embedding_model_dir=str(tmp_path)), System())
    with pytest.raises(Unavailable, match="there is no embedding model in"):
        model.embed(["cat"], Purpose.QUERY, 1e12)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "find_spec", lambda name: None if name == "tokenizers" else object())
    with pytest.raises(Exception, match="tokenizers is not installed: pip install 'afterglow-db\\[embed\\]'"):
        local_model.LocalModel(Settings(), System())
