"""The API: answers the requests of the HTTP API and of the function URL."""

from afterglow.api.app import create_app
from afterglow.jobs.account import open_engine
from afterglow.serverless import snapshots
from afterglow.serverless.http import HttpFunction
from afterglow.serverless.observing import observed
from afterglow.settings import IN_LAMBDA, Ambient, from_environment
from afterglow.storage.aws.clients import Clients

ambient = Ambient()
settings = from_environment(defaults=IN_LAMBDA)
clients = Clients()
engine = open_engine(settings, ambient, clients)
# A container has one request at a time: no thread could do anything beside it.
app = create_app(engine, settings, ambient, allow_reset=settings.allow_reset, metered=True, threads=0)
respond = HttpFunction(app, ambient)
handler = observed(respond)
snapshots.around(lambda: (respond(snapshots.HEALTHCHECK, None), clients.s3, clients.sqs), forget=clients.forget)
