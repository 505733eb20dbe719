"""The body of the embedding route, in the form of Hugging Face's text-embeddings-inference."""

from pydantic import ConfigDict

from afterglow.api.models.fields import RequestModel


class EmbedTexts(RequestModel):
    """Texts to embed by the server's own embedding function."""

    model_config = ConfigDict(json_schema_extra={"example": {"inputs": ["a desert planet and its spice"]}})

    inputs: str | list[str]
