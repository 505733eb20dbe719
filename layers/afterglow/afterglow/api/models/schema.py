"""The schema of a collection: the indexes of its metadata keys."""

from typing import Literal

from afterglow.api.models.configuration import EmbeddingFunction
from afterglow.api.models.fields import U32, RequestModel, Size, Space, StrictModel


class NoParameters(StrictModel):
    """The empty configuration of an index without parameters."""


class ToggleIndex(RequestModel):
    """An index that is on or off."""

    enabled: bool
    config: NoParameters


class FullTextConfig(StrictModel):
    """Parameters of Chroma's full-text index, which this server stores and does not need."""

    algorithm: Literal["trigram", "token_bitmap"] | None = None


class FullTextIndex(RequestModel):
    """The full-text index, on or off."""

    enabled: bool
    config: FullTextConfig


class StringType(RequestModel):
    """Indexes of strings."""

    fts_index: FullTextIndex | None = None
    string_inverted_index: ToggleIndex | None = None


class IntType(RequestModel):
    """The index of integers."""

    int_inverted_index: ToggleIndex | None = None


class FloatType(RequestModel):
    """The index of floats."""

    float_inverted_index: ToggleIndex | None = None


class BoolType(RequestModel):
    """The index of booleans."""

    bool_inverted_index: ToggleIndex | None = None


class HnswIndex(StrictModel):
    """HNSW parameters in a schema."""

    ef_construction: Size | None = None
    max_neighbors: Size | None = None
    ef_search: Size | None = None
    num_threads: Size | None = None
    batch_size: Size | None = None
    sync_threshold: Size | None = None
    resize_factor: float | None = None


class SpannIndex(StrictModel):
    """SPANN parameters in a schema. This server has no such index."""

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


class VectorIndexConfig(StrictModel):
    """The distance, the embedding function and the index of vectors."""

    space: Space | None = None
    embedding_function: EmbeddingFunction | None = None
    source_key: str | None = None
    hnsw: HnswIndex | None = None
    spann: SpannIndex | None = None


class VectorIndex(RequestModel):
    """The index of vectors."""

    enabled: bool
    config: VectorIndexConfig


class FloatListType(RequestModel):
    """Indexes of vectors."""

    vector_index: VectorIndex | None = None


class SparseIndexConfig(StrictModel):
    """The embedding function and the index of sparse vectors."""

    embedding_function: EmbeddingFunction | None = None
    source_key: str | None = None
    bm25: bool | None = None
    algorithm: Literal["wand", "max_score"] | None = None


class SparseIndex(RequestModel):
    """The index of sparse vectors."""

    enabled: bool
    config: SparseIndexConfig


class SparseVectorType(RequestModel):
    """Indexes of sparse vectors."""

    sparse_vector_index: SparseIndex | None = None


class ValueTypes(RequestModel):
    """The indexes for values of each type."""

    string: StringType | None = None
    float_list: FloatListType | None = None
    sparse_vector: SparseVectorType | None = None
    int: IntType | None = None
    float: FloatType | None = None
    bool: BoolType | None = None


class Cmek(StrictModel):
    """A customer-managed encryption key."""

    gcp: str


class Schema(RequestModel):
    """The indexes of metadata keys, by default and by key."""

    defaults: ValueTypes
    keys: dict[str, ValueTypes]
    cmek: Cmek | None = None
    source_attached_function_id: str | None = None
