"""What LangChain and LlamaIndex do with a server.

As a program, `-m tests.clients.frameworks langchain URL` (or `llama_index`) prints what came
of it. Texts are embedded by counting letters, so that every server is asked the same.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from chromadb import HttpClient
from chromadb.config import Settings

from tests.clients.scenario import Told, address, close

TEXTS = {
    "emma": ("a matchmaker in Highbury", {"year": 1815, "place": "Surrey"}),
    "dune": ("a desert planet and its spice", {"year": 1965, "place": "Arrakis"}),
    "ubik": ("half-life in a cold pac", {"year": 1969, "place": "Zürich"}),
    "solaris": ("an ocean that thinks", {"year": 1961, "place": "Solaris"}),
    "ice": ("a planet of ice and no kings", {"year": 1969, "place": "Gethen"}),
}
QUESTION = "which planet is cold"


def embedded(text: str) -> list[float]:
    """How often each letter stands in the text, in eighths."""
    return [text.lower().count(letter) / 8 for letter in "abcdefghiklmnoprstuy"]


def client(url: str) -> Any:
    """The stock client."""
    host, port = address(url)
    return HttpClient(host=host, port=port, settings=Settings(anonymized_telemetry=False))


def langchain(url: str) -> Told:
    """LangChain's vector store."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document

    class Letters:
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [embedded(each) for each in texts]

        def embed_query(self, text: str) -> list[float]:
            return embedded(text)

    def ids(documents: list[Any]) -> list[Any]:
        return [each.id for each in documents]

    store = Chroma("books", Letters(), client=client(url), collection_configuration={"hnsw": {"space": "cosine"}})
    texts, metadatas = [each[0] for each in TEXTS.values()], [each[1] for each in TEXTS.values()]
    told: Told = {"added": store.add_texts(texts, metadatas, list(TEXTS))}
    told["without metadata"] = store.add_texts(["a text of its own", "another"], [{}, {"year": 2000}], ["x", "y"])
    told["similar"] = ids(store.similarity_search(QUESTION, k=3))
    scored = store.similarity_search_with_score(QUESTION, k=3, filter={"year": {"$gt": 1962}})
    told["similar, with scores, where"] = [[each.id, close(score)] for each, score in scored]
    told["relevant"] = [
        [each.id, close(score)] for each, score in store.similarity_search_with_relevance_scores(QUESTION, k=2)
    ]
    told["where the document has"] = ids(store.similarity_search(QUESTION, where_document={"$contains": "planet"}))
    told["with vectors"] = [
        [each.id, [close(number) for number in vector]]
        for each, vector in store.similarity_search_with_vectors(QUESTION, k=1)
    ]
    told["diverse"] = ids(store.max_marginal_relevance_search(QUESTION, k=3, fetch_k=5, lambda_mult=0.3))
    told["by ids"] = sorted([each.id, each.page_content, each.metadata] for each in store.get_by_ids(["emma", "y"]))
    told["got"] = store.get(where={"$or": [{"place": "Zürich"}, {"year": {"$lte": 1815}}]}, limit=5)
    store.update_document("emma", Document("a matchmaker in Surrey", metadata={"year": 1816}))
    told["updated"] = [[each.page_content, each.metadata] for each in store.get_by_ids(["emma"])]
    store.delete(["emma", "x"])
    told["left"] = store.get()["ids"]
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "filter": {"year": 1969}})
    told["retrieved"] = ids(retriever.invoke(QUESTION))
    store.reset_collection()
    told["reset"] = store.get()["ids"]
    again = Chroma.from_documents([Document("a desert", id="d")], Letters(), client=client(url), collection_name="more")
    told["from documents"] = ids(again.similarity_search("desert", k=1))
    again.delete_collection()
    told["collections"] = [each.name for each in client(url).list_collections()]
    return told


def llama_index(url: str) -> Told:
    """LlamaIndex's vector store."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
    from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
    from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
    from llama_index.vector_stores.chroma import ChromaVectorStore

    collection = client(url).get_or_create_collection("nodes", embedding_function=None)
    store = ChromaVectorStore(chroma_collection=collection)

    def node(name: str) -> Any:
        text, metadata = TEXTS[name]
        source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"shelf-{metadata['year']}")}
        return TextNode(id_=name, text=text, metadata=metadata, embedding=embedded(text), relationships=source)

    def asked(filters: Any = None, top: int = 3, **more: Any) -> list[Any]:
        found = store.query(VectorStoreQuery(embedded(QUESTION), similarity_top_k=top, filters=filters, **more))
        return [[each, close(score)] for each, score in zip(found.ids, found.similarities, strict=True)]

    def has(key: str, operator: Any, value: Any) -> Any:
        return MetadataFilter(key=key, operator=operator, value=value)

    late = has("year", FilterOperator.GT, 1961)
    places = has("place", FilterOperator.IN, ["Zürich", "Gethen"])
    told: Told = {"added": store.add([node(each) for each in TEXTS])}
    told["similar"] = asked()
    told["where"] = asked(MetadataFilters(filters=[late]))
    told["where both"] = asked(MetadataFilters(filters=[late, places]))
    either = [has("year", FilterOperator.EQ, 1815), has("place", FilterOperator.EQ, "Gethen")]
    told["where either"] = asked(MetadataFilters(filters=either, condition=FilterCondition.OR))
    told["where not in"] = asked(MetadataFilters(filters=[has("place", FilterOperator.NIN, ["Zürich", "Gethen"])]))
    told["diverse"] = [name for name, _ in asked(top=2, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.2)]
    without = store.query(VectorStoreQuery(similarity_top_k=2, filters=MetadataFilters(filters=[late])))
    told["without an embedding"] = [[each.node_id, each.get_content(), each.metadata] for each in without.nodes]
    told["nodes"] = sorted(each.node_id for each in store.get_nodes(node_ids=["emma", "dune"]))
    store.delete("shelf-1969")
    told["deleted with their source"] = collection.get()["ids"]
    store.delete_nodes(["emma", "dune"], filters=MetadataFilters(filters=[has("year", FilterOperator.EQ, 1815)]))
    told["deleted where"] = collection.get()["ids"]
    store.clear()
    told["cleared"] = collection.count()
    return told


PROGRAMS: dict[str, Callable[[str], Told]] = {"langchain": langchain, "llama_index": llama_index}

if __name__ == "__main__":
    json.dump(PROGRAMS[sys.argv[1]](sys.argv[2]), sys.stdout)
