"""The API: answers the requests of the HTTP API and of the function URL."""

from afterglow.api.app import create_app
from afterglow.aws_lambda import snapstart
from afterglow.aws_lambda.engine import open_engine
from afterglow.aws_lambda.http import HttpFunction
from afterglow.aws_lambda.observability import observed
from afterglow.deployment.aws import open_account
from afterglow.settings import IN_LAMBDA, Ambient, from_environment
from afterglow.storage.aws.clients import Clients

ambient = Ambient()
settings = from_environment(defaults=IN_LAMBDA)
clients = Clients()
engine = open_engine(open_account(settings, ambient, clients), settings, ambient)
# A container has one request at a time: no thread could do anything beside it.
app = create_app(engine, settings, ambient, allow_reset=settings.allow_reset, metered=True, threads=0)
respond = HttpFunction(app, ambient)
handler = observed(respond)
snapstart.around(lambda: (respond(snapstart.HEALTHCHECK, None), clients.s3, clients.sqs), forget=clients.forget)
