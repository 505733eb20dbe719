"""Runs a container's command on a network of its own, and uses it: `unshare --net python -m tests.deploy.inside`.

Standard input is JSON: `start`, the command; `check`, its health check; `port`. It is started twice on the same data,
and what the stock client finds the second time is printed as JSON.
"""

import fcntl
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import Any

import chromadb
import numpy as np

SECONDS = 60.0
_SET_FLAGS = 0x8914
_UP = 0x1
_MOUNT_FAILED = 32
"""What mount(8) exits with."""


def bring_up_loopback() -> None:
    """A new network has its loopback, but down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


def started(given: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """The container, healthy."""
    process = subprocess.Popen(given["start"], stdout=sys.stderr)
    deadline = time.monotonic() + SECONDS
    while subprocess.run(given["check"], capture_output=True, check=False).returncode != 0:
        if process.poll() == _MOUNT_FAILED:
            # The system takes the mounts of the one before down a while after its end.
            process = subprocess.Popen(given["start"], stdout=sys.stderr)
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < deadline, "not healthy in time"
        time.sleep(0.2)
    return process


def stopped(process: "subprocess.Popen[bytes]") -> None:
    """As `docker stop` does it."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def main() -> None:
    given = json.load(sys.stdin)
    bring_up_loopback()
    assert subprocess.run(given["check"], capture_output=True, check=False).returncode != 0, "healthy before it runs"
    process = started(given)
    client = chromadb.HttpClient(host="127.0.0.1", port=given["port"])
    books = client.create_collection("books", embedding_function=None)
    books.add(ids=["a", "b"], embeddings=np.eye(2, dtype=np.float32), documents=["one", "two"])
    stopped(process)
    process = started(given)
    found = client.get_collection("books", embedding_function=None).query(
        query_embeddings=np.array([[0.1, 0.9]], dtype=np.float32), n_results=2
    )
    with open(f"/proc/{process.pid}/status") as status:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in status)
    stopped(process)
    json.dump({"ids": found["ids"], "documents": found["documents"], "process": lines}, sys.stdout)


if __name__ == "__main__":
    main()
