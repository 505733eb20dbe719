"""The curl tutorial on the v1 API: its commands, run one by one, and the answers it prints.

`tutorial.sh` has the commands, and one more (how many records are left after the deletions); `## name` begins each.
The answers are compared whole, but for its distances, which are made up: by them `doc2` is nearer than `doc1` though
the angles say otherwise, and `doc4` nearer than `doc5`.
"""

import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.distances import reference_distance

SCRIPT = Path(__file__).with_name("tutorial.sh")
MISSING = [name for name in ("bash", "curl", "jq") if shutil.which(name) is None]
END = "-- end of an answer --"

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


def printed(base: str, folder: Path, options: Sequence[str] = ()) -> dict[str, str]:
    """What each command printed, by its name. `options` are lines of curl's own file of options, kept in `folder`."""
    _, *parts = re.split(r"^## (.+)\n", SCRIPT.read_text(), flags=re.MULTILINE)
    names, commands = parts[::2], parts[1::2]
    script = "set -euo pipefail\n" + "".join(f"{command}echo '{END}'\n" for command in commands)
    folder.joinpath(".curlrc").write_text("\n".join(options) + "\n")
    done = subprocess.run(
        ["bash", "-c", script.replace("http://localhost:8000", base)],
        env=os.environ | {"CURL_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = done.stdout.split(END + "\n")
    assert answers.pop() == ""
    return dict(zip(names, answers, strict=True))


def check(answers: dict[str, str]) -> None:
    """The answers are those that the tutorial prints."""
    made = json.loads(answers["create"])
    check_collection(made, answers)
    check_documents(answers)
    check_query(answers["query"], nearest(*VECTORS)[:3])
    assert set(nearest(*VECTORS)[:3]) == {"doc1", "doc2", "doc3"}
    check_query(answers["query one category"], nearest("doc4", "doc5"))
    for name in ("query all but one", "query one or the other"):
        check_query(answers[name], nearest("doc1", "doc2", "doc3", "doc6")[:3])
    assert answers["update"] == "true\n"
    assert json.loads(answers["get the updated"])["metadatas"] == [{"category": "nginx", "reviewed": True}]
    assert answers["delete by id"] == answers["delete by filter"] == answers["drop"] == "null\n"
    assert answers["count what is left"] == "5\n"
    assert made["id"] not in answers["list nothing"]


def check_collection(made: dict[str, Any], answers: dict[str, str]) -> None:
    """The collection as made, found and listed."""
    assert list(json.loads(answers["heartbeat"])) == ["nanosecond heartbeat"]
    assert made == made | {
        "id": answers["id"].strip(),
        "name": "knowledge_base",
        "metadata": {"hnsw:space": "cosine"},
        "tenant": "default_tenant",
        "database": "default_database",
    }
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["id"])
    assert made in json.loads(answers["list"])
    assert '"knowledge_base"' in answers["names"].splitlines()


def check_documents(answers: dict[str, str]) -> None:
    """The documents as added and read by their ids."""
    assert answers["add"] == "true\n"
    assert answers["count"] == "6\n"
    assert json.loads(answers["get one"]) == {
        "ids": ["doc1"],
        "embeddings": [VECTORS["doc1"]],
        "documents": [DOCUMENTS["doc1"]],
        "metadatas": [{"category": "nginx"}],
        "uris": None,
        "data": None,
        "included": ["documents", "metadatas", "embeddings"],
    }
    some = json.loads(answers["get some"])
    ids = ["doc1", "doc4", "doc6"]
    assert (some["ids"], some["documents"]) == (ids, [DOCUMENTS[record_id] for record_id in ids])
    assert some["metadatas"] == [{"category": CATEGORIES[record_id]} for record_id in ids]


def check_query(text: str, ids: Sequence[str]) -> None:
    """A query's answer has these records, in this order, at their distances."""
    answer = json.loads(text)
    (distances,) = answer.pop("distances")
    assert answer == {
        "ids": [list(ids)],
        "metadatas": [[{"category": CATEGORIES[record_id]} for record_id in ids]],
        "documents": [[DOCUMENTS[record_id] for record_id in ids]],
        "embeddings": None,
        "uris": None,
        "data": None,
        "included": ["documents", "metadatas", "distances"],
    }
    assert all(math.isclose(a, distance(b), abs_tol=1e-6) for a, b in zip(distances, ids, strict=True))


def nearest(*ids: str) -> list[str]:
    """These records as the query orders them."""
    return sorted(ids, key=distance)


def distance(record: str) -> float:
    """The cosine distance of a record to the query."""
    return reference_distance("cosine", QUERY, VECTORS[record])
