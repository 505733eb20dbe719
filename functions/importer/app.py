"""The importer: files that are put into the bucket become records, a range a message.

A message that fails is delivered again; one that fails the last time stops its import, and is a dead letter.
"""

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterglow.aws_lambda.invocation import record_import, seconds_left
from afterglow.aws_lambda.observability import instrument, logger
from afterglow.bulk.import_messages import Importer
from afterglow.bulk.import_store import ImportStore
from afterglow.bulk.range_import import ImportContext
from afterglow.bulk.sink import EngineSink
from afterglow.collection import Engine
from afterglow.deployment.aws import open_aws
from afterglow.deployment.base import NullQueue
from afterglow.settings import LAMBDA_DEFAULTS, System, from_environment
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.queue import ImportQueue

system = System()
settings = from_environment(defaults=LAMBDA_DEFAULTS)
clients = Clients(system)
account = open_aws(settings, system, clients)
stores = account.stores(settings, system, account.queue or NullQueue())
ledger = ImportStore(stores.table, stores.objects, system, settings.import_report_ttl_seconds)
site = ImportContext(EngineSink(Engine(stores)), ledger, settings, system)
importer = Importer(site, stores.objects, ImportQueue(clients, settings.import_queue).send)
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False, logger=logger)


@instrument
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers which messages failed."""

    def work(record: SQSRecord) -> None:
        is_done = False
        try:
            record_import(importer.work_on(record.body, goes_on=lambda: seconds_left(context) > 0))
            is_done = True
        finally:
            if not is_done and int(record.attributes.approximate_receive_count) >= settings.import_max_attempts:
                importer.fail(record.body)

    return dict(process_partial_response(event, work, processor, context))
