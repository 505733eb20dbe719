"""The mutants of `tests.mutate`: each is a fault of one line, and the tests that notice it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """Replace `before`, which stands once in `file`, by `after`; `tests` must fail then."""

    name: str
    file: str
    before: str
    after: str
    tests: str


MUTANTS = (
    Mutant(
        "garbage collection deletes segments before the manifests that name them",
        "jobs/gc.py",
        "[key for key in garbage if key.startswith(prefix)])\n"
        "    stores.objects.delete_many([key for key in garbage if not key.startswith(prefix)])",
        "[key for key in garbage if not key.startswith(prefix)])\n"
        "    stores.objects.delete_many([key for key in garbage if key.startswith(prefix)])",
        "tests/jobs/test_gc.py",
    ),
    Mutant(
        "garbage collection forgets what forks reference",
        "jobs/gc.py",
        "referenced_by_forks(stores, state, candidates) if candidates else set()",
        "set()",
        "tests/jobs/test_lineage.py tests/jobs/test_gc.py tests/jobs/test_reachability.py",
    ),
    Mutant(
        "the cache of open collections evicts the most recently used",
        "collection/replica/replica_cache.py",
        "while len(self._open) > settings.max_open_collections:\n                self._open.popitem(last=False)",
        "while len(self._open) > settings.max_open_collections:\n                self._open.popitem(last=True)",
        "tests/collection/test_replica_cache.py",
    ),
    Mutant(
        "the change marker leaves out what the thread itself has written",
        "storage/local/table.py",
        "return connection, others, connection.total_changes",
        "return connection, others",
        "tests/storage/test_table.py tests/collection/test_machine.py",
    ),
    Mutant(
        "a use does not count for the cache of open collections",
        "collection/replica/replica_cache.py",
        "            self._open.move_to_end(collection_id)\n",
        "",
        "tests/collection/test_replica_cache.py",
    ),
    Mutant(
        "a manifest is committed over another",
        "jobs/commit.py",
        "if existing.manifest_key != base:",
        "if False:",
        "tests/jobs/test_races.py tests/jobs/test_commit.py",
    ),
    Mutant(
        "the log's time goes back with a writer's clock",
        "log/entry.py",
        "return max(log_time, entry.appended_at)",
        "return entry.appended_at",
        "tests/log tests/collection/test_ttl.py",
    ),
    Mutant(
        "an entry overwrites another writer's",
        "log/append.py",
        "put = Put(pk, entries.key(seq), entries.encode(entry), if_absent=True)",
        "put = Put(pk, entries.key(seq), entries.encode(entry))",
        "tests/log",
    ),
    Mutant(
        "an entry whose answer was lost is taken for another writer's",
        "log/append.py",
        "return entries.decode(existing).nonce == entry.nonce",
        "return False",
        "tests/log",
    ),
    Mutant(
        "a transaction commits though what it has read was written since",
        "collection/write/read_condition.py",
        "conflicts = conflicts or not self._read_ids.isdisjoint(entry.ids)",
        "conflicts = False",
        "tests/collection/test_transactions.py",
    ),
    Mutant(
        "a transaction commits though a record as near as its k-th was written since",
        "collection/write/read_predicates.py",
        "return not bool(np.all(distances > within + rounding))",
        "return not bool(np.all(distances >= within - rounding))",
        "tests/wire/test_transaction_queries.py",
    ),
    Mutant(
        "a transaction commits though its filter finds another record now",
        "collection/write/transaction.py",
        "if transaction.predicates.concerned(condition.written):",
        "if False:",
        "tests/collection/test_transactions.py",
    ),
    Mutant(
        "a write to a record outside the filter of a key conflicts with its transaction",
        "collection/writes.py",
        "completed if scope.restriction is None else transactions.restricted(completed)",
        "completed",
        "tests/wire/auth/test_transactions_with_filters.py",
    ),
    Mutant(
        "the later operations of a transaction do not see the earlier ones when they are admitted",
        "collection/write/admission.py",
        "            del self.states[name]\n",
        "",
        "tests/wire/auth/test_transactions_with_filters.py",
    ),
    Mutant(
        "what came between the check of a transaction and its put is not checked",
        "collection/write/write_path.py",
        "        if condition is not None:\n"
        "            collection = _check_condition(stores, end, collection, condition)\n"
        "        pending",
        "        pending",
        "tests/collection/test_transactions.py",
    ),
    Mutant(
        "placeholders are deleted where appends do not check the state",
        "log/trim.py",
        "if not stores.table.has_cheap_transactions:",
        "if stores is None:",
        "tests/log",
    ),
    Mutant(
        "a manifest's checksum is not compared",
        "segment/manifest.py",
        "if not key.endswith(_checksum_suffix(body)):",
        "if False:",
        "tests/segment/test_manifest.py",
    ),
    Mutant(
        "a segment may have deleted rows without a file that names them",
        "segment/manifest.py",
        "elif any((segment.deletions is not None) != (segment.deleted_rows > 0) for segment in segments):",
        "elif False:",
        "tests/segment/test_manifest.py",
    ),
    Mutant(
        "a record expires one moment late",
        "collection/replica/ttl_filter.py",
        "is_past = column.values <= expiry.now",
        "is_past = column.values < expiry.now",
        "tests/collection/test_ttl.py",
    ),
    Mutant(
        "a cached credential is valid for ever",
        "auth/authenticator.py",
        "if decision is None or not 0 <= self._now() - decision.decided_at < self._cache_seconds:",
        "if decision is None:",
        "tests/auth/test_authenticator.py",
    ),
    Mutant(
        "a valid credential costs its address an attempt",
        "auth/rate_limit.py",
        "            self._bucket(network_of(address), self._now()).tokens += 1\n",
        "",
        "tests/auth",
    ),
    Mutant(
        "an object is renamed before it is synced",
        "storage/local/objects.py",
        "                    file.flush()\n                    os.fsync(file.fileno())\n",
        "",
        "tests/storage/test_durability.py",
    ),
    Mutant(
        "an import counts a batch twice",
        "bulk/import_store.py",
        "if_version=progress.version",
        "if_version=None",
        "tests/bulk/test_exactly_once.py tests/bulk/test_import_store.py",
    ),
    Mutant(
        "a dropped collection's log is not sealed",
        "jobs/purge.py",
        "seal_log(stores, record.id)",
        "None",
        "tests/jobs/test_purge.py tests/jobs/test_races.py",
    ),
    Mutant(
        "a compaction forgets what was deleted while it ran",
        "jobs/compact.py",
        "deleted[merged.new_rows[mask[merged.rows]]] = True",
        "None",
        "tests/jobs/test_compact.py tests/jobs/test_races.py",
    ),
    Mutant(
        "a flush leaves the log out of the archive",
        "jobs/flush.py",
        "archive.store(stores, snapshot.collection.id, old.log_time, snapshot.entries)",
        "None",
        "tests/jobs/test_flush.py tests/collection/test_time_travel.py",
    ),
    Mutant(
        "a file's checksum is not compared",
        "segment/array_file.py",
        "if verify and _checksum(file) != self.ref.checksum:",
        "if False:",
        "tests/segment/test_array_file.py tests/segment/test_segment.py",
    ),
    Mutant(
        "a key sees other tenants",
        "auth/permissions.py",
        "if self.role is None or self.tenant not in (None, tenant):",
        "if self.role is None:",
        "tests/auth/test_permissions.py",
    ),
    Mutant(
        "made-up read tokens of keys with filters tell how long the log is",
        "collection/write/read_condition.py",
        "if scope.restriction is not None and not end - MAX_ENTRIES <= position <= end:",
        "if False:",
        "tests/wire/auth/test_transactions_with_filters.py",
    ),
    Mutant(
        "hidden positions of one snapshot are equal",
        "auth/hidden_positions.py",
        "next(self._salts) % (1 << _SALT_BITS)",
        "1",
        "tests/auth/test_hidden_positions.py tests/wire/auth/test_transactions_with_filters.py",
    ),
    Mutant(
        "an open collection that a key's filters do not name is read before it is refused",
        "collection/read/reader.py",
        "if cached is not None and not is_in_scope(scope, cached):",
        "if False:",
        "tests/wire/auth/test_refused_collections.py",
    ),
    Mutant(
        "sparse search prunes rows that may be among the best",
        "segment/maxscore.py",
        "max_gain, postings_left = upper[number] - lower[number] + slack, remaining_postings[number]",
        "max_gain, postings_left = upper[number] + slack, remaining_postings[number]",
        "tests/segment/test_maxscore.py",
    ),
    Mutant(
        "request bodies are not given back to their budget",
        "api/http/byte_budget.py",
        "            del self._leases[lease]\n",
        "            pass\n",
        "tests/api/test_byte_budget.py",
    ),
    Mutant(
        "time travel reaches beyond the retention window",
        "collection/time_travel/point_in_time.py",
        "if at.time < now - entries.milliseconds(retention_seconds):",
        "if False:",
        "tests/collection/test_time_travel.py",
    ),
    Mutant(
        "the output of a function keeps its past when an erasure has deleted its records",
        "jobs/erased_outputs.py",
        "        requests.mark(stores, output, snapshot.applied_seq)\n",
        "        pass\n",
        "tests/jobs/test_erasure.py",
    ),
    Mutant(
        "an erasure leaves deleted rows in the files of segments",
        "jobs/rewrite.py",
        "if segment.deleted_rows and segment.purged_seq < state.erased_seq:",
        "if False:",
        "tests/jobs/test_erasure.py",
    ),
    Mutant(
        "a retained checkpoint does not stay retained",
        "segment/retention.py",
        "_BUCKETS_PER_WINDOW = 7",
        "_BUCKETS_PER_WINDOW = 1",
        "tests/segment/test_retention.py tests/jobs/test_lineage.py tests/collection/test_time_travel.py",
    ),
    Mutant(
        "each of several segments with lists is probed for all neighbours, not for its share",
        "collection/read/lists_planner.py",
        "np.maximum(k * parts, 1.0)",
        "np.maximum(k, parts)",
        "tests/collection/test_lists_planner.py",
    ),
    Mutant(
        "a segment's share of the neighbours is that of its rows, though all are in one segment",
        "collection/read/lists_planner.py",
        "np.maximum(near / max(near.sum(), 1), every / every.sum())",
        "(every / every.sum())",
        "tests/collection/test_lists_planner.py",
    ),
    Mutant(
        "lists of a segment are left out because another segment's are nearer",
        "collection/read/lists_planner.py",
        "bounds = [search.keys.min() + farther",
        "bounds = [keys.min() + farther",
        "tests/collection/test_lists_planner.py",
    ),
    Mutant(
        "a covering index leaves out the rows with the largest of the values",
        "segment/covering_index.py",
        "np.count_nonzero(values <= high)",
        "np.count_nonzero(values < high)",
        "tests/segment/test_covering_index.py",
    ),
    Mutant(
        "a covering index says nothing of the rows that its column has no value for",
        "segment/covering_index.py",
        "if len(found) < np.count_nonzero(mask):",
        "if not len(found):",
        "tests/segment/test_covering_index.py",
    ),
    Mutant(
        "a narrow column loses its base",
        "segment/narrow_columns.py",
        "found += column.base",
        "found += 0",
        "tests/segment/test_narrow_columns.py",
    ),
    Mutant(
        "the breadth of an index for one neighbour is that for ten",
        "segment/breadth.py",
        "for k in KS if k < width), width]",
        "for k in KS if 10 <= k < width), width]",
        "tests/segment/test_lists.py",
    ),
)
