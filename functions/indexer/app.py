"""The indexer and the compactor: one flushes, the other compacts the collections named by the messages of its queue.

They differ in their queue, and in the time and the memory that the template gives them.

A message that fails and the later messages of its group are delivered again; after the last attempt they go to the
dead letter queue.
"""

from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterglow.aws_lambda.invocation import record_report, seconds_left
from afterglow.aws_lambda.observability import instrument, logger
from afterglow.deployment.aws import open_aws
from afterglow.deployment.base import NullQueue
from afterglow.jobs.index_messages import handle
from afterglow.settings import LAMBDA_DEFAULTS, System, from_environment
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.queue import SqsQueue

system = System()
settings = from_environment(defaults=LAMBDA_DEFAULTS)
clients = Clients(system)
account = open_aws(settings, system, clients)
stores = account.stores(settings, system, account.queue or NullQueue())
compactions = SqsQueue(clients, settings.compaction_queue) if settings.compaction_queue else None
processor = SqsFifoPartialProcessor(skip_group_on_error=True, logger=logger)
# By default a batch without any success counts as an error of the function, and its messages are not reported singly.
processor.raise_on_entire_batch_failure = False


@instrument
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process a batch of messages; return the ids of those that failed."""

    def process(record: SQSRecord) -> None:
        report = handle(
            stores, record.body, may_take=lambda seconds: seconds < seconds_left(context), compactions=compactions
        )
        sent_at = int(record.attributes.sent_timestamp) / 1000
        record_report(report, FlushLagSeconds=max(0.0, system.now() - sent_at), UnflushedOps=report.unflushed_ops)

    return dict(process_partial_response(event, process, processor, context))
