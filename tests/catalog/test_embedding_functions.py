"""Which embedding functions a server stores for clients to build."""

import json
from pathlib import Path
from typing import Any

import chromadb
import pytest
from chromadb.utils import embedding_functions as clients

from afterglow.catalog import schema
from afterglow.catalog.embedding_functions import CLIENT_FUNCTIONS, FunctionPolicy, check, find_problem, in_schema
from afterglow.errors import InvalidArgument

STRICT = FunctionPolicy()
FOLDER = Path(chromadb.__file__).parent.parent / "schemas" / "embedding_functions"
SCHEMAS = sorted(path for path in FOLDER.glob("*.json") if path.stem != "base_schema")
FREE_TEXT = {
    # They end up in the body of a request to a fixed host, or name something.
    "api_key_env_var", "api_type", "api_version", "device", "embedding_function", "embedding_type", "encoding_format",
    "input_type", "instruction", "language", "organization_id", "revision", "task", "task_type", "deployment_id",
}  # fmt: skip


def known(name: str, **config: Any) -> dict[str, Any]:
    return {"type": "known", "name": name, "config": config}


def test_every_function_of_the_clients_is_listed() -> None:
    names = {*clients.known_embedding_functions, *clients.sparse_known_embedding_functions}
    names |= {path.stem for path in SCHEMAS}
    assert len(names) > 30
    assert names == CLIENT_FUNCTIONS


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_no_property_takes_a_url_or_a_path(path: Path) -> None:
    for name, described in json.loads(path.read_text())["properties"].items():
        types = described.get("type", [])
        if "string" in ([types] if isinstance(types, str) else types):
            for value in ("https://example.org/x", "/etc/passwd", "../x", "C:\\x"):
                problem = find_problem(known(path.stem, **{name: value}), STRICT)
                assert problem is not None or name in FREE_TEXT or name in {"model", "model_name"}, (name, value)
                if name in {"model", "model_name"}:
                    assert problem is not None, (name, value)
        elif "object" in types and name != "instructions":
            for config in ({"trust_remote_code": True}, {"a": {"trust_remote_code": "yes"}}, {"cache_dir": "x/y"}):
                assert find_problem(known(path.stem, **{name: config}), STRICT) is not None, (name, config)


@pytest.mark.parametrize(
    "function",
    [
        None,
        {"type": "legacy"},
        {"type": "unknown"},
        known("default"),
        known(
            "sentence_transformer", model_name="all-MiniLM-L6-v2", device="cpu", normalize_embeddings=False, kwargs={}
        ),
        known(
            "sentence_transformer",
            model_name="sentence-transformers/all-MiniLM-L6-v2",
            device="cuda:0",
            normalize_embeddings=True,
            kwargs={  # as the client stores them
                "trust_remote_code": False,
                "local_files_only": True,
                "truncate_dim": 256,
                "model_kwargs": {"torch_dtype": "float16"},
                "prompts": {"query": "query: ", "passage": "see https://example.org/a/b: "},
            },
        ),
        known("instructor", model_name="hkunlp/instructor-base", device="cpu", instruction="Represent a/b/c of ./x:"),
        known("open_clip", model_name="ViT-B-32", checkpoint="laion2b_s34b_b79k", device="cpu"),
        known("open_clip", model_name="hf-hub:laion/CLIP-ViT-B-32", checkpoint="openai", device="cpu"),
        known("ollama", url="http://localhost:11434", model_name="nomic-embed-text", timeout=60),
        known("ollama", url="127.0.0.1:11434", model_name="x", timeout=60),
        known("huggingface_server", url="http://[::1]:8080/embed", api_key_env_var=None),
        known("openai", model_name="text-embedding-3-small", api_key_env_var="OPENAI_API_KEY", api_base=None),
        known("openai", model_name="m", api_base="https://api.openai.com/v1", api_key_env_var="K"),
        known("openai", model_name="m", api_base="https://mine.openai.azure.com/", api_type="azure"),
        known("morph", model_name="m", api_base="https://api.morphllm.com/v1", api_key_env_var="K"),
        known("roboflow", api_url="https://infer.roboflow.com", api_key_env_var="K"),
        known("google_vertex", model_name="m", project_id="example.com:p-1", region="us-central1", api_key_env_var="K"),
        known("bm25", task="document", cache_dir=None, specific_model_path=None, language="english", kwargs={}),
        known("onnx_mini_lm_l6_v2", preferred_providers=["CPUExecutionProvider"]),
        known("my_own", path="/models/mine", url="https://example.org", module="x"),
    ],
    ids=lambda function: str(function)[:60],
)
def test_harmless_functions_are_stored(function: dict[str, Any] | None) -> None:
    check([function], STRICT)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (known("sentence_transformer", kwargs={"trust_remote_code": True}), "runs code of its model"),
        (known("sentence_transformer", trust_remote_code=1), "runs code of its model"),
        (known("sentence_transformer", kwargs={"model_kwargs": {"trust_remote_code": "true"}}), "runs code"),
        (known("sentence_transformer", kwargs={"a": [{"trust_remote_code": {}}]}), "runs code"),
        (known("sentence_transformer", kwargs={"prompts": {"trust_remote_code": True}}), "runs code"),
        (known("my_own", nested=[{"deep": {"trust_remote_code": True}}]), "runs code"),
        (known("sentence_transformer", model_name="/tmp/model"), "reads a file by its path"),
        (known("sentence_transformer", model_name="./model"), "reads a file"),
        (known("sentence_transformer", model_name="~/model"), "reads a file"),
        (known("sentence_transformer", model_name="a/../../model"), "reads a file"),
        (known("sentence_transformer", model_name="a/b/c"), "reads a file"),
        (known("sentence_transformer", model_name="\\\\host\\share"), "reads a file"),
        (known("sentence_transformer", kwargs={"cache_folder": "models"}), "reads a file"),
        (known("text2vec", model_name="d:/model"), "reads a file"),
        (known("open_clip", model_name="local-dir:x", checkpoint="openai"), "reads a file"),
        (known("open_clip", model_name="x", checkpoint="weights.pt"), "reads a file"),
        (known("bm25", specific_model_path="x"), "reads a file"),
        (known("fastembed_sparse", model_name="m", cache_dir="x"), "reads a file"),
        (known("ollama", url="http://192.0.2.1:11434"), "sends texts to a URL"),
        (known("ollama", url="example.org:11434"), "sends texts"),
        (known("ollama", url="http://localhost@example.org"), "sends texts"),
        (known("ollama", url="http://localhost.example.org"), "sends texts"),
        (known("ollama", url="http://example.org\\@localhost"), "sends texts"),
        (known("ollama", url="file:///etc/passwd"), "sends texts"),
        (known("ollama", url="http://[::1"), "sends texts"),
        (known("huggingface_server", url="https://example.org/embed"), "sends texts"),
        (known("openai", api_base="https://api.openai.com.example.org/v1"), "sends texts"),
        (known("openai", api_base="https://evilopenai.azure.com"), "sends texts"),
        (known("roboflow", api_url="//example.org"), "sends texts"),
        (known("amazon_bedrock", kwargs={"endpoint_url": "https://example.org"}), "sends texts"),
        (known("amazon_bedrock", kwargs={"verify": "/tmp/ca.pem"}), "reads a file"),
        (known("google_vertex", region="example.org/#"), "reads a file|sends texts"),
    ],
    ids=str,
)
def test_dangerous_functions_are_refused(function: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem) as caught:
        check([None, function], STRICT)
    assert repr(function["name"]) in caught.value.message
    check([function], FunctionPolicy(unsafe=True))


def test_hosts_can_be_allowed() -> None:
    policy = FunctionPolicy(("ollama.internal", ".example.org"))
    for url in ("http://ollama.internal:11434", "https://a.example.org/v1", "http://OLLAMA.internal"):
        assert find_problem(known("ollama", url=url), policy) is None
    for url in ("http://x.ollama.internal", "https://example.org", "https://a.example.org.evil"):
        assert find_problem(known("ollama", url=url), policy) is not None
    assert find_problem(known("ollama", url="https://any.host"), FunctionPolicy(("*",))) is None
    assert find_problem(known("ollama", url="file:///etc/passwd"), FunctionPolicy(("*",))) is not None
    assert find_problem(known("bm25", cache_dir="x"), FunctionPolicy(("*",))) is not None


def test_the_functions_of_a_schema_are_found_wherever_it_holds_them() -> None:
    dense, sparse = known("openai", model_name="m", api_key_env_var="K"), known("bm25", k=1.2)
    stored = schema.reconcile({"embedding_function": dense}, None, None)
    assert [function for function in in_schema(stored) if function["type"] == "known"] == [dense, dense]
    keys = {
        "#embedding": {"float_list": {"vector_index": {"enabled": True, "config": {"embedding_function": dense}}}},
        "words": {
            "sparse_vector": {
                "sparse_vector_index": {
                    "enabled": True,
                    "config": {"embedding_function": sparse, "source_key": "#document"},
                }
            }
        },
    }
    stored = schema.reconcile(None, {"defaults": {}, "keys": keys}, None)
    assert [function for function in in_schema(stored) if function in (dense, sparse)] == [dense, sparse]
