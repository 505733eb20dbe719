"""The importer: files that are put into the bucket become records, a range a message.

A message that fails is delivered again; one that fails the last time stops its import, and is a dead letter.
"""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterglow.aws_lambda.invocation import note_import, seconds_left
from afterglow.aws_lambda.observability import logger, observed
from afterglow.bulk.import_messages import Importer
from afterglow.bulk.import_store import Ledger
from afterglow.bulk.range_import import Site
from afterglow.bulk.sink import EngineSink
from afterglow.collection import Engine
from afterglow.deployment.aws import open_account
from afterglow.deployment.base import NoQueue
from afterglow.settings import IN_LAMBDA, Ambient, from_environment
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.queue import ImportQueue

ambient = Ambient()
settings = from_environment(defaults=IN_LAMBDA)
clients = Clients(ambient)
account = open_account(settings, ambient, clients)
stores = account.stores(settings, ambient, account.queue or NoQueue())
ledger = Ledger(stores.table, stores.objects, ambient, settings.import_kept_seconds)
site = Site(EngineSink(Engine(stores)), ledger, settings, ambient)
importer = Importer(site, stores.objects, ImportQueue(clients, settings.import_queue).send)
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False, logger=logger)


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers which messages failed."""

    def work(record: SQSRecord) -> None:
        is_done = False
        try:
            note_import(importer.work_on(record.body, goes_on=lambda: seconds_left(context) > 0))
            is_done = True
        finally:
            if not is_done and int(record.attributes.approximate_receive_count) >= settings.import_tries:
                importer.give_up(record.body)

    return dict(process_partial_response(event, work, processor, context))
