"""Random programmes, run on both sides step by step. hypothesis prints how to replay a failure, shrunk."""

from typing import Any
from uuid import uuid4

import pytest
from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection
from chromadb.errors import ChromaError
from hypothesis import HealthCheck, given, settings

from tests.differential.responses import differences
from tests.differential.scenarios import Programme, Step, programmes

COMMON = settings(
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
QUICK = settings(COMMON, max_examples=100)
DEEP = settings(COMMON, max_examples=1500)


def _answer(collection: Collection, step: Step) -> Any:
    """What the call returns, or the error it raises."""
    try:
        return getattr(collection, step.method)(**step.arguments)
    except (ChromaError, ValueError, TypeError) as error:
        return error


def _sure(step: Step, collection: Collection) -> Step:
    """The step without new embeddings for records that are not there: theirs remembers them for a later add."""
    if step.method != "update" or "embeddings" not in step.arguments:
        return step
    present = set(collection.get(ids=step.arguments["ids"], include=[])["ids"])
    kept = [place for place, name in enumerate(step.arguments["ids"]) if name in present]
    if not kept:
        return Step("count")
    return Step("update", {key: [values[place] for place in kept] for key, values in step.arguments.items()})


def _run(programme: Programme, ours: ClientAPI, theirs: ClientAPI) -> None:
    name = f"c-{uuid4().hex}"
    configuration: Any = {"hnsw": {"space": programme.space}}
    sides = [
        client.create_collection(name, configuration=configuration, embedding_function=None)
        for client in (ours, theirs)
    ]
    try:
        for number, planned in enumerate(programme.steps):
            step = _sure(planned, sides[1])
            left, right = (_answer(collection, step) for collection in sides)
            found = differences(step.method, left, right)
            story = "\n".join(f"{each.method}(**{each.arguments})" for each in programme.steps[: number + 1])
            assert not found, f"in the space {programme.space}, after\n{story}\n" + "\n".join(found)
        everything = Step("get", {"include": ["embeddings", "documents", "metadatas", "uris"]})
        left, right = (_answer(collection, everything) for collection in sides)
        found = differences("get", left, right)
        assert not found, "at the end\n" + "\n".join(found)
    finally:
        # Not theirs: it leaves array metadata of a deleted collection behind, which then shows up in later records.
        ours.delete_collection(name)


@QUICK
@given(programme=programmes)
def test_equal_answers(programme: Programme, ours: ClientAPI, theirs: ClientAPI) -> None:
    """A handful of programmes."""
    _run(programme, ours, theirs)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@DEEP
@given(programme=programmes)
def test_equal_answers_of_many_programmes(programme: Programme, ours: ClientAPI, theirs: ClientAPI) -> None:
    """Many programmes."""
    _run(programme, ours, theirs)
