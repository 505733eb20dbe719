"""The curl tutorial on the v1 API, command for command, against a server of its own.

`tutorial.sh` has its commands, and one more (how many records are left after the deletions); `## name` begins each. The
answers it prints are compared whole, but for its distances, which are made up: by them `doc2` is nearer than `doc1`
though the angles say otherwise, and `doc4` nearer than `doc5`.
"""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import running

SCRIPT = Path(__file__).with_name("tutorial.sh")
MISSING = [name for name in ("bash", "curl", "jq") if shutil.which(name) is None]
END = "-- end of an answer --"

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"the tutorial needs {', '.join(MISSING)}, which is not installed"
)

VECTORS = {
    "doc1": [0.10, 0.90, 0.20, 0.80],
    "doc2": [0.15, 0.85, 0.25, 0.75],
    "doc3": [0.12, 0.88, 0.10, 0.82],
    "doc4": [0.80, 0.10, 0.70, 0.15],
    "doc5": [0.82, 0.12, 0.68, 0.18],
    "doc6": [0.50, 0.40, 0.60, 0.30],
}
DOCUMENTS = {
    "doc1": "To restart nginx, run: sudo systemctl restart nginx",
    "doc2": "Check nginx status with: sudo systemctl status nginx",
    "doc3": "View nginx error logs at /var/log/nginx/error.log",
    "doc4": "Kubernetes deployments manage rolling updates across pods",
    "doc5": "HorizontalPodAutoscaler scales pod count based on CPU usage",
    "doc6": "Prometheus scrapes metrics from targets defined in prometheus.yml",
}
CATEGORIES = dict.fromkeys(("doc1", "doc2", "doc3"), "nginx") | dict.fromkeys(("doc4", "doc5"), "kubernetes")
CATEGORIES |= {"doc6": "monitoring"}
QUERY = [0.12, 0.88, 0.22, 0.78]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command printed, by its name."""
    _, *parts = re.split(r"^## (.+)\n", SCRIPT.read_text(), flags=re.MULTILINE)
    names, commands = parts[::2], parts[1::2]
    script = "set -euo pipefail\n" + "".join(f"{command}echo '{END}'\n" for command in commands)
    with running(tmp_path_factory.mktemp("tutorial") / "data") as server:
        script = script.replace("http://localhost:8000", f"http://127.0.0.1:{server.port}")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr + server.printed()
    answers = done.stdout.split(END + "\n")
    assert answers.pop() == ""
    return dict(zip(names, answers, strict=True))


def nearest(*ids: str) -> list[str]:
    """These records as the query orders them."""
    return sorted(ids, key=distance)


def distance(record: str) -> float:
    vector = VECTORS[record]
    product = sum(a * b for a, b in zip(QUERY, vector, strict=True))
    return 1 - product / (math.hypot(*QUERY) * math.hypot(*vector))


def found(ids: Sequence[str]) -> dict[str, Any]:
    """The answer to a query that finds these records, but for the distances."""
    return {
        "ids": [list(ids)],
        "metadatas": [[{"category": CATEGORIES[each]} for each in ids]],
        "documents": [[DOCUMENTS[each] for each in ids]],
        "embeddings": None,
        "uris": None,
        "data": None,
        "included": ["documents", "metadatas", "distances"],
    }


def test_the_server_is_up(printed: dict[str, str]) -> None:
    assert list(json.loads(printed["heartbeat"])) == ["nanosecond heartbeat"]


def test_a_collection(printed: dict[str, str]) -> None:
    made = json.loads(printed["create"])
    shown = {
        "id": printed["id"].strip(),
        "name": "knowledge_base",
        "metadata": {"hnsw:space": "cosine"},
        "tenant": "default_tenant",
        "database": "default_database",
    }
    assert made == made | shown
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["id"])
    assert json.loads(printed["list"]) == [made]
    assert printed["names"] == '"knowledge_base"\n'


def test_documents(printed: dict[str, str]) -> None:
    assert printed["add"] == "true\n"
    assert printed["count"] == "6\n"
    assert json.loads(printed["get one"]) == {
        "ids": ["doc1"],
        "embeddings": [VECTORS["doc1"]],
        "documents": [DOCUMENTS["doc1"]],
        "metadatas": [{"category": "nginx"}],
        "uris": None,
        "data": None,
        "included": ["documents", "metadatas", "embeddings"],
    }
    some = json.loads(printed["get some"])
    ids = ["doc1", "doc4", "doc6"]
    assert (some["ids"], some["documents"]) == (ids, [DOCUMENTS[each] for each in ids])
    assert some["metadatas"] == [{"category": CATEGORIES[each]} for each in ids]


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("query", nearest(*VECTORS)[:3]),
        ("query one category", nearest("doc4", "doc5")),
        ("query all but one", nearest("doc1", "doc2", "doc3", "doc6")[:3]),
        ("query one or the other", nearest("doc1", "doc2", "doc3", "doc6")[:3]),
    ],
)
def test_queries(printed: dict[str, str], name: str, ids: list[str]) -> None:
    answer = json.loads(printed[name])
    (distances,) = answer.pop("distances")
    assert answer == found(ids)
    assert distances == pytest.approx([distance(each) for each in ids], abs=1e-6)


def test_the_first_query_finds_what_the_tutorial_finds() -> None:
    assert nearest(*VECTORS)[:3] == ["doc1", "doc2", "doc3"]


def test_update(printed: dict[str, str]) -> None:
    assert printed["update"] == "true\n"
    updated = json.loads(printed["get the updated"])
    assert updated["metadatas"] == [{"category": "nginx", "reviewed": True}]


def test_delete(printed: dict[str, str]) -> None:
    assert printed["delete by id"] == "null\n"
    assert printed["delete by filter"] == "null\n"
    assert printed["count what is left"] == "5\n"
    assert printed["drop"] == "null\n"
    assert printed["list nothing"] == "[]\n"
