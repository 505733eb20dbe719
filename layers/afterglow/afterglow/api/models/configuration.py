"""The configuration of a collection: its vector index and its embedding function."""

from typing import Annotated, Any, Literal

from pydantic import Field

from afterglow.api.models.fields import U32, RequestModel, Size, Space, StrictModel


class LegacyFunction(RequestModel):
    """An embedding function of an older client."""

    type: Literal["legacy"]


class UnknownFunction(RequestModel):
    """An unknown embedding function."""

    type: Literal["unknown"]


class KnownFunction(RequestModel):
    """The embedding function of a collection; clients read it back."""

    type: Literal["known"]
    name: str
    config: Any


EmbeddingFunction = Annotated[LegacyFunction | UnknownFunction | KnownFunction, Field(discriminator="type")]


class HnswConfiguration(StrictModel):
    """The parameters of a collection's vector index."""

    space: Space | None = None
    ef_construction: Size | None = None
    ef_search: Size | None = None
    max_neighbors: Size | None = None
    num_threads: Size | None = None
    resize_factor: float | None = None
    sync_threshold: Size | None = None
    batch_size: Size | None = None


class SpannConfiguration(StrictModel):
    """SPANN parameters. This server has no such index and uses only the space."""

    space: Space | None = None
    search_nprobe: U32 | None = None
    write_nprobe: U32 | None = None
    ef_construction: Size | None = None
    ef_search: Size | None = None
    max_neighbors: Size | None = None
    reassign_neighbor_count: U32 | None = None
    split_threshold: U32 | None = None
    merge_threshold: U32 | None = None


class Configuration(RequestModel):
    """The vector index and the embedding function of a collection."""

    hnsw: HnswConfiguration | None = None
    spann: SpannConfiguration | None = None
    embedding_function: EmbeddingFunction | None = None


class UpdateHnsw(StrictModel):
    """The mutable parameters of a vector index."""

    ef_search: Size | None = None
    max_neighbors: Size | None = None
    num_threads: Size | None = None
    resize_factor: float | None = None
    sync_threshold: Size | None = None
    batch_size: Size | None = None


class UpdateSpann(StrictModel):
    """SPANN parameters, which this server ignores."""

    search_nprobe: U32 | None = None
    ef_search: Size | None = None


class UpdateConfiguration(RequestModel):
    """Changes to a collection's vector index and embedding function."""

    hnsw: UpdateHnsw | None = None
    spann: UpdateSpann | None = None
    embedding_function: EmbeddingFunction | None = None
