"""The embedder function: turns texts into vectors by a model in the bucket, for the API and the importer."""

from pathlib import Path
from typing import Any

from afterglow.aws_lambda.observability import instrument
from afterglow.deployment.aws import open_bucket
from afterglow.embedding.bucket_model import BucketModel
from afterglow.settings import LAMBDA_DEFAULTS, System, from_environment

system = System()
settings = from_environment(defaults=LAMBDA_DEFAULTS)
model = BucketModel(open_bucket(settings.bucket, settings, system), Path(settings.cache_dir) / "model", settings)


@instrument
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """The vectors of `texts`, or an error."""
    return model.answer(event)
