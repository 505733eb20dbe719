"""Runs a container's command in a network namespace, and uses it: `unshare --net python -m tests.deploy.inside`.

Standard input is JSON: `start`, the command; `check`, its health check; `port`. The command is started twice on the
same data. The result that Chroma's client reads the second time is printed as JSON.
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
"""The exit code of mount(8)."""


def bring_up_loopback() -> None:
    """Enables the loopback interface, which is down in a new network namespace."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))


def start(options: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Starts the container and waits until it is healthy."""
    process = subprocess.Popen(options["start"], stdout=sys.stderr)
    deadline = time.monotonic() + SECONDS
    while subprocess.run(options["check"], capture_output=True, check=False).returncode != 0:
        if process.poll() == _MOUNT_FAILED:
            # The mounts of the previous container are removed shortly after its end.
            process = subprocess.Popen(options["start"], stdout=sys.stderr)
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < deadline, "not healthy in time"
        time.sleep(0.2)
    return process


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stops it as `docker stop` does."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def main() -> None:
    options = json.load(sys.stdin)
    bring_up_loopback()
    assert subprocess.run(options["check"], capture_output=True, check=False).returncode != 0, "healthy before it runs"
    process = start(options)
    client = chromadb.HttpClient(host="127.0.0.1", port=options["port"])
    books = client.create_collection("books", embedding_function=None)
    books.add(ids=["a", "b"], embeddings=np.eye(2, dtype=np.float32), documents=["one", "two"])
    stop(process)
    process = start(options)
    result = client.get_collection("books", embedding_function=None).query(
        query_embeddings=np.array([[0.1, 0.9]], dtype=np.float32), n_results=2
    )
    with open(f"/proc/{process.pid}/status") as status:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in status)
    stop(process)
    json.dump({"ids": result["ids"], "documents": result["documents"], "process": lines}, sys.stdout)


if __name__ == "__main__":
    main()
