"""LangChain and LlamaIndex against a server.

As a program, `-m tests.clients.frameworks langchain URL` (or `llama_index`) prints the outcome. Texts are embedded by
counting letters, so that every server gets the same requests.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from chromadb import HttpClient
from chromadb.config import Settings

from tests.clients.scenario import Outcome, address, close

TEXTS = {
    "emma": ("a matchmaker in Highbury", {"year": 1815, "place": "Surrey"}),
    "dune": ("a desert planet and its spice", {"year": 1965, "place": "Arrakis"}),
    "ubik": ("half-life in a cold pac", {"year": 1969, "place": "Zürich"}),
    "solaris": ("an ocean that thinks", {"year": 1961, "place": "Solaris"}),
    "ice": ("a planet of ice and no kings", {"year": 1969, "place": "Gethen"}),
}
QUESTION = "which planet is cold"


def embed(text: str) -> list[float]:
    """The number of occurrences of each letter in the text, divided by eight."""
    return [text.lower().count(letter) / 8 for letter in "abcdefghiklmnoprstuy"]


def client(url: str) -> Any:
    """Chroma's client."""
    host, port = address(url)
    return HttpClient(host=host, port=port, settings=Settings(anonymized_telemetry=False))


def langchain(url: str) -> Outcome:
    """LangChain's vector store."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document

    class Letters:
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [embed(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return embed(text)

    def ids(documents: list[Any]) -> list[Any]:
        return [document.id for document in documents]

    store = Chroma("books", Letters(), client=client(url), collection_configuration={"hnsw": {"space": "cosine"}})
    texts, metadatas = [text for text, _ in TEXTS.values()], [metadata for _, metadata in TEXTS.values()]
    outcome: Outcome = {"added": store.add_texts(texts, metadatas, list(TEXTS))}
    outcome["without metadata"] = store.add_texts(["a text of its own", "another"], [{}, {"year": 2000}], ["x", "y"])
    outcome["similar"] = ids(store.similarity_search(QUESTION, k=3))
    scored = store.similarity_search_with_score(QUESTION, k=3, filter={"year": {"$gt": 1962}})
    outcome["similar, with scores, where"] = [[document.id, close(score)] for document, score in scored]
    outcome["relevant"] = [
        [document.id, close(score)] for document, score in store.similarity_search_with_relevance_scores(QUESTION, k=2)
    ]
    outcome["where the document has"] = ids(store.similarity_search(QUESTION, where_document={"$contains": "planet"}))
    outcome["with vectors"] = [
        [document.id, [close(number) for number in vector]]
        for document, vector in store.similarity_search_with_vectors(QUESTION, k=1)
    ]
    outcome["diverse"] = ids(store.max_marginal_relevance_search(QUESTION, k=3, fetch_k=5, lambda_mult=0.3))
    outcome["by ids"] = sorted(
        [document.id, document.page_content, document.metadata] for document in store.get_by_ids(["emma", "y"])
    )
    outcome["got"] = store.get(where={"$or": [{"place": "Zürich"}, {"year": {"$lte": 1815}}]}, limit=5)
    store.update_document("emma", Document("a matchmaker in Surrey", metadata={"year": 1816}))
    outcome["updated"] = [[document.page_content, document.metadata] for document in store.get_by_ids(["emma"])]
    store.delete(["emma", "x"])
    outcome["left"] = store.get()["ids"]
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "filter": {"year": 1969}})
    outcome["retrieved"] = ids(retriever.invoke(QUESTION))
    store.reset_collection()
    outcome["reset"] = store.get()["ids"]
    again = Chroma.from_documents([Document("a desert", id="d")], Letters(), client=client(url), collection_name="more")
    outcome["from documents"] = ids(again.similarity_search("desert", k=1))
    again.delete_collection()
    outcome["collections"] = [collection.name for collection in client(url).list_collections()]
    return outcome


def llama_index(url: str) -> Outcome:
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
        return TextNode(id_=name, text=text, metadata=metadata, embedding=embed(text), relationships=source)

    def query(filters: Any = None, top: int = 3, **more: Any) -> list[Any]:
        found = store.query(VectorStoreQuery(embed(QUESTION), similarity_top_k=top, filters=filters, **more))
        return [[name, close(score)] for name, score in zip(found.ids, found.similarities, strict=True)]

    def has(key: str, operator: Any, value: Any) -> Any:
        return MetadataFilter(key=key, operator=operator, value=value)

    late = has("year", FilterOperator.GT, 1961)
    places = has("place", FilterOperator.IN, ["Zürich", "Gethen"])
    outcome: Outcome = {"added": store.add([node(name) for name in TEXTS])}
    outcome["similar"] = query()
    outcome["where"] = query(MetadataFilters(filters=[late]))
    outcome["where both"] = query(MetadataFilters(filters=[late, places]))
    either = [has("year", FilterOperator.EQ, 1815), has("place", FilterOperator.EQ, "Gethen")]
    outcome["where either"] = query(MetadataFilters(filters=either, condition=FilterCondition.OR))
    outcome["where not in"] = query(MetadataFilters(filters=[has("place", FilterOperator.NIN, ["Zürich", "Gethen"])]))
    outcome["diverse"] = [name for name, _ in query(top=2, mode=VectorStoreQueryMode.MMR, mmr_threshold=0.2)]
    without = store.query(VectorStoreQuery(similarity_top_k=2, filters=MetadataFilters(filters=[late])))
    outcome["without an embedding"] = [[found.node_id, found.get_content(), found.metadata] for found in without.nodes]
    outcome["nodes"] = sorted(found.node_id for found in store.get_nodes(node_ids=["emma", "dune"]))
    store.delete("shelf-1969")
    outcome["deleted with their source"] = collection.get()["ids"]
    store.delete_nodes(["emma", "dune"], filters=MetadataFilters(filters=[has("year", FilterOperator.EQ, 1815)]))
    outcome["deleted where"] = collection.get()["ids"]
    store.clear()
    outcome["cleared"] = collection.count()
    return outcome


PROGRAMS: dict[str, Callable[[str], Outcome]] = {"langchain": langchain, "llama_index": llama_index}

if __name__ == "__main__":
    json.dump(PROGRAMS[sys.argv[1]](sys.argv[2]), sys.stdout)
