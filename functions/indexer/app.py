"""The indexer: folds and merges the collections that the queue's messages name, one message after another.

A message that fails, and those after it of the same collection, are delivered again; in the end the dead-letter queue
has them.
"""

from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from afterglow.aws_lambda.invocation import note, seconds_left
from afterglow.aws_lambda.observability import logger, observed
from afterglow.deployment.aws import open_account
from afterglow.deployment.base import NoQueue
from afterglow.jobs.index_messages import work_on
from afterglow.settings import IN_LAMBDA, Ambient, from_environment
from afterglow.storage.aws.clients import Clients

ambient = Ambient()
settings = from_environment(defaults=IN_LAMBDA)
clients = Clients(ambient)
account = open_account(settings, ambient, clients)
stores = account.stores(settings, ambient, account.queue or NoQueue())
processor = SqsFifoPartialProcessor(skip_group_on_error=True, logger=logger)
# Otherwise a batch of which nothing succeeds is an error of the function, and its messages are not told apart.
processor.raise_on_entire_batch_failure = False


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers which messages failed."""

    def work(record: SQSRecord) -> None:
        report = work_on(stores, record.body, may_take=lambda seconds: seconds < seconds_left(context))
        sent_at = int(record.attributes.sent_timestamp) / 1000
        note(report, FoldLag=max(0.0, ambient.now() - sent_at), UnindexedTail=report.unfolded_ops)

    return dict(process_partial_response(event, work, processor, context))
