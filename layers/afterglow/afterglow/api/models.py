"""The shapes of request bodies, as Chroma's clients send them. Also what the OpenAPI page says of them.

Unknown fields are ignored, except where the genuine server refuses them. Heavy fields (embeddings, metadata, filters)
are `Any` here, with the schema that OpenAPI shows; `vectors`, `metadata` and `filters.parse` judge them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

U32 = Annotated[int, Field(ge=0, le=2**32 - 1)]
Size = Annotated[int, Field(ge=0, le=2**64 - 1)]
Space = Literal["l2", "cosine", "ip"]
IncludeName = Literal["distances", "documents", "embeddings", "metadatas", "uris"]

_SCALARS: list[dict[str, Any]] = [{"type": each} for each in ("boolean", "integer", "number", "string")]
_ARRAYS: list[dict[str, Any]] = [{"type": "array", "items": each} for each in _SCALARS]
_METADATA: dict[str, Any] = {"type": "object", "additionalProperties": {"anyOf": [*_SCALARS, *_ARRAYS]}}
_CHANGES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"anyOf": [*_SCALARS, *_ARRAYS, {"type": "null"}]},
}
_NULL: dict[str, Any] = {"type": "null"}
_FLOATS: dict[str, Any] = {"type": "array", "items": {"type": "number", "format": "float"}}
_BASE64: dict[str, Any] = {"type": "string", "format": "byte", "description": "base64 of little-endian float32"}


def _any_of(*kinds: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(kinds)}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


Metadata = Annotated[Any, WithJsonSchema(_any_of(_METADATA, _NULL))]
MetadataChanges = Annotated[Any, WithJsonSchema(_any_of(_CHANGES, _NULL))]
Metadatas = Annotated[Any, WithJsonSchema(_any_of(_array(_any_of(_METADATA, _NULL)), _NULL))]
MetadatasChanges = Annotated[Any, WithJsonSchema(_any_of(_array(_any_of(_CHANGES, _NULL)), _NULL))]
Embeddings = Annotated[Any, WithJsonSchema(_any_of(_array(_FLOATS), _array(_BASE64)))]
EmbeddingChanges = Annotated[
    Any,
    WithJsonSchema(_any_of(_array(_any_of(_FLOATS, _NULL)), _array(_any_of(_BASE64, _NULL)), _NULL)),
]
QueryEmbeddings = Annotated[Any, WithJsonSchema(_array(_FLOATS))]
Where = Annotated[Any, WithJsonSchema({"anyOf": [{"type": "object"}, _NULL]})]


class Shape(BaseModel):
    """A JSON object; nothing is converted, unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True)


class Closed(BaseModel):
    """A JSON object that refuses unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", defer_build=True)


class CreateTenant(Shape):
    """A new tenant."""

    name: str = Field(examples=["acme"])


class UpdateTenant(Shape):
    """The resource name, which can be given once."""

    resource_name: str


class CreateDatabase(Shape):
    """A new database of a tenant."""

    name: str = Field(examples=["books"])


class LegacyFunction(Shape):
    """Vectors that an older client made."""

    type: Literal["legacy"]


class UnknownFunction(Shape):
    """Vectors of whose making nothing is known."""

    type: Literal["unknown"]


class KnownFunction(Shape):
    """What makes the vectors of a collection; clients read it back."""

    type: Literal["known"]
    name: str
    config: Any


EmbeddingFunction = Annotated[LegacyFunction | UnknownFunction | KnownFunction, Field(discriminator="type")]


class HnswConfiguration(Closed):
    """The parameters of a collection's vector index."""

    space: Space | None = None
    ef_construction: Size | None = None
    ef_search: Size | None = None
    max_neighbors: Size | None = None
    num_threads: Size | None = None
    resize_factor: float | None = None
    sync_threshold: Size | None = None
    batch_size: Size | None = None


class SpannConfiguration(Closed):
    """An index that this server does not have: only its space is taken."""

    space: Space | None = None
    search_nprobe: U32 | None = None
    write_nprobe: U32 | None = None
    ef_construction: Size | None = None
    ef_search: Size | None = None
    max_neighbors: Size | None = None
    reassign_neighbor_count: U32 | None = None
    split_threshold: U32 | None = None
    merge_threshold: U32 | None = None


class Configuration(Shape):
    """How a collection's vectors are made and indexed."""

    hnsw: HnswConfiguration | None = None
    spann: SpannConfiguration | None = None
    embedding_function: EmbeddingFunction | None = None


class NoParameters(Closed):
    """The configuration of an index that has none."""


class SwitchedIndex(Shape):
    """An index that is on or off."""

    enabled: bool
    config: NoParameters


class StringType(Shape):
    """Indexes of strings."""

    fts_index: SwitchedIndex | None = None
    string_inverted_index: SwitchedIndex | None = None


class IntType(Shape):
    """The index of integers."""

    int_inverted_index: SwitchedIndex | None = None


class FloatType(Shape):
    """The index of floats."""

    float_inverted_index: SwitchedIndex | None = None


class BoolType(Shape):
    """The index of booleans."""

    bool_inverted_index: SwitchedIndex | None = None


class HnswIndex(Closed):
    """HNSW parameters in a schema."""

    ef_construction: Size | None = None
    max_neighbors: Size | None = None
    ef_search: Size | None = None
    num_threads: Size | None = None
    batch_size: Size | None = None
    sync_threshold: Size | None = None
    resize_factor: float | None = None


class SpannIndex(Closed):
    """SPANN parameters in a schema; this server has no such index."""

    search_nprobe: U32 | None = None
    search_rng_factor: float | None = None
    search_rng_epsilon: float | None = None
    nreplica_count: U32 | None = None
    write_nprobe: U32 | None = None
    write_rng_factor: float | None = None
    write_rng_epsilon: float | None = None
    split_threshold: U32 | None = None
    num_samples_kmeans: Size | None = None
    initial_lambda: float | None = None
    reassign_neighbor_count: U32 | None = None
    merge_threshold: U32 | None = None
    num_centers_to_merge_to: U32 | None = None
    ef_construction: Size | None = None
    ef_search: Size | None = None
    max_neighbors: Size | None = None
    center_drift_threshold: float | None = None
    quantize: Literal["none", "four_bit_rabit_q_with_u_search"] | None = None


class VectorIndexConfig(Closed):
    """How vectors are compared, made and indexed."""

    space: Space | None = None
    embedding_function: EmbeddingFunction | None = None
    source_key: str | None = None
    hnsw: HnswIndex | None = None
    spann: SpannIndex | None = None


class VectorIndex(Shape):
    """The index of vectors."""

    enabled: bool
    config: VectorIndexConfig


class FloatListType(Shape):
    """Indexes of vectors."""

    vector_index: VectorIndex | None = None


class SparseIndexConfig(Closed):
    """How sparse vectors are made and indexed."""

    embedding_function: EmbeddingFunction | None = None
    source_key: str | None = None
    bm25: bool | None = None
    algorithm: Literal["wand", "max_score"] | None = None


class SparseIndex(Shape):
    """The index of sparse vectors."""

    enabled: bool
    config: SparseIndexConfig


class SparseVectorType(Shape):
    """Indexes of sparse vectors."""

    sparse_vector_index: SparseIndex | None = None


class ValueTypes(Shape):
    """Which indexes serve values of each type."""

    string: StringType | None = None
    float_list: FloatListType | None = None
    sparse_vector: SparseVectorType | None = None
    int: IntType | None = None
    float: FloatType | None = None
    bool: BoolType | None = None


class Cmek(Closed):
    """A key of the customer's own."""

    gcp: str


class Schema(Shape):
    """Which indexes serve which metadata keys."""

    defaults: ValueTypes
    keys: dict[str, ValueTypes]
    cmek: Cmek | None = None
    source_attached_function_id: str | None = None


class CreateCollection(Shape):
    """A new collection."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "books", "get_or_create": True}})

    name: str
    # The field is called `schema` on the wire, which BaseModel has a method of.
    given_schema: Schema | None = Field(default=None, alias="schema")
    configuration: Configuration | None = None
    metadata: Metadata = None
    get_or_create: bool = False


class UpdateHnsw(Closed):
    """The parameters of a vector index that can be changed."""

    ef_search: Size | None = None
    max_neighbors: Size | None = None
    num_threads: Size | None = None
    resize_factor: float | None = None
    sync_threshold: Size | None = None
    batch_size: Size | None = None


class UpdateSpann(Closed):
    """Parameters of an index that this server does not have: ignored."""

    search_nprobe: U32 | None = None
    ef_search: Size | None = None


class UpdateConfiguration(Shape):
    """Changes to how a collection's vectors are made and searched."""

    hnsw: UpdateHnsw | None = None
    spann: UpdateSpann | None = None
    embedding_function: EmbeddingFunction | None = None


class UpdateCollection(Shape):
    """Changes to a collection. New metadata replaces all there is."""

    new_name: str | None = None
    new_metadata: MetadataChanges = None
    new_configuration: UpdateConfiguration | None = None


class AddRecords(Shape):
    """Records to add or upsert; all lists have the length of `ids`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "ids": ["a", "b"],
                "embeddings": [[0.1, 0.9], [0.8, 0.2]],
                "documents": ["first", None],
                "metadatas": [{"page": 1}, None],
            }
        }
    )

    ids: list[str]
    embeddings: Embeddings
    documents: list[str | None] | None = None
    metadatas: Metadatas = None
    uris: list[str | None] | None = None


class UpsertRecords(AddRecords):
    """Records to insert or merge; in metadata null deletes the key."""

    metadatas: MetadatasChanges = None


class UpdateRecords(Shape):
    """Changes to records; what is absent or null stays, in metadata null deletes the key."""

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["a"], "metadatas": [{"page": 2}]}})

    ids: list[str]
    embeddings: EmbeddingChanges = None
    documents: list[str | None] | None = None
    metadatas: MetadatasChanges = None
    uris: list[str | None] | None = None


class Filters(Shape):
    """Which records: those that satisfy all that is given."""

    ids: list[str] | None = None
    where: Where = None
    where_document: Where = None


class GetRecords(Filters):
    """Records in insertion order."""

    model_config = ConfigDict(json_schema_extra={"example": {"where": {"page": {"$gte": 1}}, "limit": 10}})

    limit: U32 | None = None
    offset: U32 | None = None
    include: list[IncludeName] = ["documents", "metadatas"]


class QueryRecords(Filters):
    """The records nearest to each of some vectors."""

    model_config = ConfigDict(json_schema_extra={"example": {"query_embeddings": [[0.1, 0.9]], "n_results": 3}})

    query_embeddings: QueryEmbeddings
    n_results: U32 | None = None
    include: list[IncludeName] = ["documents", "metadatas", "distances"]


class DeleteRecords(Filters):
    """Records to delete; `limit` only with a filter."""

    model_config = ConfigDict(json_schema_extra={"example": {"ids": ["a"]}})

    limit: U32 | None = None


class ForkCollection(Shape):
    """The name of the copy."""

    new_name: str


class SearchLimit(Shape):
    """Which part of the hits."""

    offset: U32 = 0
    limit: U32 | None = None


class SearchSelect(Shape):
    """Which fields of the hits."""

    keys: list[str] = []


class SearchAggregate(Closed):
    """How many of a group, by which keys."""

    min_k: dict[str, Any] | None = Field(default=None, alias="$min_k")
    max_k: dict[str, Any] | None = Field(default=None, alias="$max_k")


class SearchGroups(Shape):
    """Hits grouped by metadata keys."""

    keys: list[str] = []
    aggregate: SearchAggregate | None = None


class Search(Shape):
    """One search."""

    filter: dict[str, Any] | None = None
    rank: dict[str, Any] | None = None
    group_by: SearchGroups | None = None
    limit: SearchLimit | None = None
    select: SearchSelect | None = None


class SearchRecords(Shape):
    """Several searches; not served yet."""

    searches: list[Search]
    read_level: Literal["index_and_wal", "index_only", "index_and_bounded_wal"] = "index_and_wal"


class AttachFunction(Shape):
    """A function to run over what is written; not served."""

    name: str
    function_id: str
    output_collection: str
    params: Any = None


class DetachFunction(Shape):
    """Whether the output goes too; not served."""

    delete_output: bool = False
