"""Replacing folded entries by stubs (protocol: `afterglow.log`)."""

from uuid import UUID

from afterglow.catalog import keys
from afterglow.log import entry as entries
from afterglow.log.entry import Kind
from afterglow.settings import Ambient, Settings
from afterglow.storage.ports import ConditionFailed, Objects, Table

_PAGE = 200


def trim(
    table: Table, objects: Objects, settings: Settings, ambient: Ambient, collection_id: UUID, up_to: int
) -> int:
    """Turn the entries up to number `up_to` into stubs and delete their objects; how many were turned.

    *Crash midway: a stub whose object is still there; the janitor collects what no entry names.*
    Stubs past their seven days are removed on the way.
    """
    pk, now, turned, after = keys.collection(collection_id), ambient.now(), 0, entries.BEFORE_ALL
    while page := table.query(pk, after=after, before=entries.key(up_to + 1), limit=_PAGE):
        after = page[-1].sk
        for item in page:
            entry = entries.decode(item)
            if entry.kind is Kind.STUB:
                if item.expires_at is not None and item.expires_at < now:
                    table.delete(pk, item.sk)
            elif entry.kind is Kind.BATCH:
                expires_at = int(now) + settings.fence_seconds
                try:
                    table.put(
                        pk,
                        item.sk,
                        entries.encode(entries.stub_of(entry)),
                        if_version=item.version,
                        expires_at=expires_at,
                    )
                except ConditionFailed:
                    continue
                if entry.object is not None:
                    objects.delete(entry.object)
                turned += 1
    return turned
