"""The model's process: order, concurrency, deadlines, and what a call sees when the process ends."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from afterglow.embedding.embedder import Purpose
from afterglow.embedding.onnx_model import OnnxModel
from afterglow.embedding.onnx_process import SLICE, OnnxProcess
from afterglow.errors import Unavailable
from afterglow.settings import System
from tests.support.onnx_files import WORDS

SYSTEM = System()


def soon() -> float:
    return SYSTEM.monotonic() + 60


@pytest.fixture(scope="module")
def process(model_folder: Path) -> Iterator[OnnxProcess]:
    process = OnnxProcess(model_folder, 1, SYSTEM)
    yield process
    process.close()


def test_vectors_come_in_the_order_of_the_texts(process: OnnxProcess, model_folder: Path) -> None:
    texts = [" ".join(WORDS[4 + i % 20 : 5 + i % 20 + i % 7]) for i in range(3 * SLICE + 5)]
    embedded = process.embed(texts, Purpose.DOCUMENT, soon())
    np.testing.assert_allclose(embedded.vectors, OnnxModel(model_folder, 1).embed(texts).vectors, atol=1e-6)


def test_calls_of_several_threads_do_not_mix(process: OnnxProcess) -> None:
    def call(number: int) -> bool:
        text = WORDS[4 + number % 20]
        purpose = Purpose.QUERY if number % 2 else Purpose.DOCUMENT
        vectors = process.embed([text] * (1 + number), purpose, soon()).vectors
        return bool(np.allclose(vectors, process.embed([text], Purpose.QUERY, soon()).vectors[0], atol=1e-6))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(40)))


def test_a_deadline_ends_the_call_and_not_the_process(process: OnnxProcess) -> None:
    with pytest.raises(Unavailable, match="did not finish in time"):
        process.embed(["cat " * 300] * 200, Purpose.DOCUMENT, SYSTEM.monotonic() + 0.001)
    assert len(process.embed(["cat"], Purpose.QUERY, soon()).vectors) == 1


def test_the_next_call_starts_a_process_that_was_killed(model_folder: Path) -> None:
    process = OnnxProcess(model_folder, 1, SYSTEM)
    try:
        process.embed(["cat"], Purpose.QUERY, soon())
        child = process._child
        assert child is not None
        os.kill(child._process.pid, signal.SIGKILL)
        child._receiver.join(10)
        assert len(process.embed(["cat"], Purpose.QUERY, soon()).vectors) == 1
    finally:
        process.close()
    with pytest.raises(Unavailable, match="shutting down"):
        process.embed(["cat"], Purpose.QUERY, soon())


def test_running_calls_of_a_killed_process_are_unavailable(model_folder: Path) -> None:
    process = OnnxProcess(model_folder, 1, SYSTEM)
    try:
        process.embed(["cat"], Purpose.QUERY, soon())
        child = process._child
        assert child is not None
        os.kill(child._process.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(process.embed, ["cat"], Purpose.QUERY, soon())
            while not child._futures and not call.done():
                pass
            os.kill(child._process.pid, signal.SIGKILL)
            with pytest.raises(Unavailable, match="its process has ended"):
                call.result(30)
    finally:
        process.close()


@pytest.mark.parametrize("text", ["cat", "cat " * 50_000])
def test_a_process_that_hangs_is_replaced(model_folder: Path, text: str) -> None:
    process = OnnxProcess(model_folder, 1, SYSTEM, patience=0.5)
    try:
        process.embed(["cat"], Purpose.QUERY, soon())
        child = process._child
        assert child is not None
        os.kill(child._process.pid, signal.SIGSTOP)
        started = SYSTEM.monotonic()
        with pytest.raises(Unavailable, match=r"its process has ended|has ended; retry"):
            process.embed([text] * 100, Purpose.DOCUMENT, soon())
        assert SYSTEM.monotonic() - started < 30
        assert len(process.embed(["cat"], Purpose.QUERY, soon()).vectors) == 1
    finally:
        process.close()


def test_a_busy_process_is_not_taken_for_one_that_hangs(model_folder: Path) -> None:
    process = OnnxProcess(model_folder, 1, SYSTEM, patience=0.2)
    try:
        process.embed(["cat"], Purpose.QUERY, soon())
        first = process._child
        assert first is not None
        assert first._responds()
        assert len(process.embed(["cat dog " * 400] * 2_000, Purpose.DOCUMENT, soon()).vectors) == 2_000
        assert process._child is first
    finally:
        process.close()


def test_a_process_that_hangs_can_be_closed(model_folder: Path) -> None:
    process = OnnxProcess(model_folder, 1, SYSTEM)
    process.embed(["cat"], Purpose.QUERY, soon())
    child = process._child
    assert child is not None
    os.kill(child._process.pid, signal.SIGSTOP)
    process.close()
    assert not child._process.is_running()


def test_files_that_are_no_model_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(Unavailable, match=f"{tmp_path} cannot be loaded"):
        OnnxProcess(tmp_path, 1, SYSTEM).embed(["cat"], Purpose.QUERY, soon())
