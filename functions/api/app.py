"""The API function: handles requests of the HTTP API and of the function URL."""

from afterglow.api.app import create_app
from afterglow.aws_lambda import snapstart
from afterglow.aws_lambda.engine import open_engine
from afterglow.aws_lambda.http import HttpFunction
from afterglow.aws_lambda.observability import instrument
from afterglow.deployment.aws import open_aws
from afterglow.settings import LAMBDA_DEFAULTS, System, from_environment, ignore_pydantic_plugins
from afterglow.storage.aws.clients import Clients

ignore_pydantic_plugins()
system = System()
settings = from_environment(defaults=LAMBDA_DEFAULTS)
clients = Clients()
engine = open_engine(open_aws(settings, system, clients), settings, system)
# A container handles one request at a time, so threads would not help.
app = create_app(engine, settings, system, allow_reset=settings.allow_reset, report_usage=True, threads=0)
respond = HttpFunction(app, system)
handler = instrument(respond)
snapstart.register_hooks(
    lambda: (respond(snapstart.HEALTHCHECK, None), clients.s3, clients.sqs),
    forget_credentials=clients.forget_credentials,
)
