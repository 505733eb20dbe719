"""The importer function: imports files that are put into the bucket, one file range per message.

A message that fails is delivered again. After its last attempt the import fails, and the message goes to the dead
letter queue.
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
import_store = ImportStore(stores.table, stores.objects, system, settings.import_report_ttl_seconds)
import_context = ImportContext(EngineSink(Engine(stores)), import_store, settings, system)
importer = Importer(import_context, stores.objects, ImportQueue(clients, settings.import_queue).send)
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False, logger=logger)


@instrument
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process a batch of messages; return the ids of those that failed."""

    def process(record: SQSRecord) -> None:
        succeeded = False
        try:
            record_import(importer.handle(record.body, goes_on=lambda: seconds_left(context) > 0))
            succeeded = True
        finally:
            if not succeeded and int(record.attributes.approximate_receive_count) >= settings.import_max_attempts:
                importer.fail(record.body)

    return dict(process_partial_response(event, process, processor, context))
