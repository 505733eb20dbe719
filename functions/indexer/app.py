"""The indexer: folds and merges the collections that the queue's messages name, one message after another.

A message that fails, and those after it of the same collection, are delivered again; in the end the dead-letter queue
has them.
"""

from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterglow.aws_lambda.invocation import seconds_left
from afterglow.aws_lambda.observability import instrument, logger
from afterglow.deployment.aws import open_aws
from afterglow.deployment.base import NullQueue
from afterglow.jobs.index_messages import handle
from afterglow.settings import LAMBDA_DEFAULTS, System, from_environment
from afterglow.storage.aws.clients import Clients

system = System()
settings = from_environment(defaults=LAMBDA_DEFAULTS)
clients = Clients(system)
account = open_aws(settings, system, clients)
stores = account.stores(settings, system, account.queue or NullQueue())
processor = SqsFifoPartialProcessor(skip_group_on_error=True, logger=logger)
# Otherwise a batch of which nothing succeeds is an error of the function, and its messages are not told apart.
processor.raise_on_entire_batch_failure = False


@instrument
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers which messages failed."""

    def work(record: SQSRecord) -> None:
        report = handle(stores, record.body, may_take=lambda seconds: seconds < seconds_left(context))
        sent_at = int(record.attributes.sent_timestamp) / 1000
        record(report, FoldLag=max(0.0, system.now() - sent_at), UnindexedTail=report.unflushed_ops)

    return dict(process_partial_response(event, work, processor, context))
