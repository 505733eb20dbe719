"""One run of the simulation: writers, readers, indexers and collectors in several processes over one set of stores.

A seed decides everything: the kind of stores, what every actor does, in which order they run (`scheduler`), which calls
and responses are lost, which processes die, which clocks jump and by how much (`processes`). The observer checks every
change of the stores as it is made, clients check their responses (`actors`), and when the actors of a round have ended,
an auditor with a right clock reads and verifies everything.

Run `python -m tests.simulation --seed N` to replay a seed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from unittest import mock

from afterglow.catalog import Catalog, schema, ttl
from afterglow.collection.replica import replica, replica_cache
from afterglow.collection.replica.replica import Replica
from afterglow.collection.time_travel import snapshot_cache
from afterglow.collection.time_travel.point_in_time import PointInTime
from afterglow.collection.types import Scope, Selection
from afterglow.collection.write import log_end
from afterglow.errors import InvalidArgument
from afterglow.jobs import every_collection, gc, purge, reachability, verify
from afterglow.jobs.indexer import index
from afterglow.settings import Settings
from tests.simulation.actors import act
from tests.simulation.cast import DATABASE, TENANT, TTL_KEY, Cast
from tests.simulation.checks import check_contents
from tests.simulation.joint_commits import check_joint_commits
from tests.simulation.memory import MemoryObjects, MemoryTable
from tests.simulation.observer import CollectionLog, Observer, Violation
from tests.simulation.processes import Environment, Process, Rates
from tests.simulation.scheduler import Deadlock, Scheduler, SimulatedLock
from tests.support.model import EVERYTHING, as_pairs
from tests.support.stores import SMALL, quick_folder

_EPOCH = 1_700_000_000.0
_MAX_STEPS = 60_000
_RETENTION_SECONDS = 500.0
_LOCKING = (log_end, replica, replica_cache, snapshot_cache)
"""The modules with locks that are held during calls of a port."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed draws before the run starts."""

    seed: int
    is_account: bool
    settings: Settings
    ttl_key: str | None
    rates: Rates
    switch: float
    processes: int
    rounds: int
    operations: int


def plan_of(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(f"plan {seed}")
    has_retention = random.random() < 0.5
    settings = replace(
        SMALL,
        retention_seconds=_RETENTION_SECONDS if has_retention else 0.0,
        notify_every_ops=4,
        notify_every_entries=3,
    )
    return Plan(
        seed=seed,
        is_account=random.random() < 0.5,
        settings=settings,
        ttl_key=TTL_KEY if random.random() < 0.3 else None,
        rates=Rates(
            lost=random.choice((0.0, 0.01, 0.03)),
            crash=random.choice((0.0, 0.002, 0.005)),
            jump=random.choice((0.0, 0.01, 0.03)),
            leap=random.choice((0.0, 0.002)),
        ),
        switch=random.choice((0.1, 0.3, 0.6, 1.0)),
        processes=random.choice((2, 2, 3)),
        rounds=2,
        operations=4,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run went: a hash of its events, their number, the operations by name."""

    digest: str
    steps: int
    counts: dict[str, int]


class Failure(AssertionError):
    """A run that broke a promise: the seed, the end of the trace, and what is wrong."""


def simulate(seed: int, *, trace: int = 60) -> Outcome:
    """Run one seed. Raises Failure, with the last `trace` events."""
    plan = plan_of(seed)
    with quick_folder() as folder:
        simulation = Simulation(plan, folder)
        try:
            with _simulated_locks(simulation.environment.scheduler):
                simulation.run()
        except (Violation, Deadlock, Exception) as error:
            events = "\n".join(simulation.environment.trace[-trace:])
            command = f"python -m tests.simulation --seed {seed}"
            raise Failure(f"{plan}\n{events}\n\nseed {seed}: {error!r}\nReplay it: {command}") from error
    environment = simulation.environment
    return Outcome(environment.digest(), environment.scheduler.steps, simulation.cast.counts)


@contextmanager
def _simulated_locks(scheduler: Scheduler) -> Iterator[None]:
    locks = SimpleNamespace(Lock=lambda: SimulatedLock(scheduler))
    patches = [mock.patch.object(module, "threading", locks) for module in _LOCKING]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


class Simulation:
    """One run of a plan."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        random = Random(plan.seed)
        scheduler = Scheduler(random, _EPOCH, switch=plan.switch, max_steps=_MAX_STEPS)
        table, objects = MemoryTable(), MemoryObjects(folder)
        self.environment = Environment(
            scheduler, random, plan.settings, folder, plan.is_account, plan.rates, table, objects
        )
        processes = [Process(self.environment, f"p{number}") for number in range(plan.processes)]
        self.cast = Cast(self.environment, Observer(table, objects), processes)
        self.auditor = Process(self.environment, "auditor")
        scheduler.on_step = self._on_step

    def run(self) -> None:
        """Run all rounds. Raises Violation, Deadlock, or what the library should not have raised."""
        self._prepare()
        for number in range(self.plan.rounds):
            for at, process in enumerate(self.cast.processes):
                roles = ("writer", "writer", "reader" if at else "indexer", "indexer" if at else "maintainer")
                for role in roles:
                    body = act(self.cast, process, role, self.plan.operations)
                    self.environment.scheduler.spawn(f"{process.name}-{role}", body)
            self.environment.is_faulty = True
            self.environment.scheduler.run()
            self.environment.is_faulty = False
            self.environment.note(f"round {number} is over")
            self._audit()
        self._finish()

    def _on_step(self) -> None:
        environment = self.environment
        if environment.happens(environment.rates.jump):
            environment.random.choice(self.cast.processes).jump()
        if environment.happens(environment.rates.leap) and not (environment.is_account and environment.jobs):
            seconds = environment.random.random() * 3 * environment.settings.gc_grace_seconds
            environment.scheduler.time += seconds
            environment.note(f"everything takes {seconds:.1f} s longer")

    def _prepare(self) -> None:
        reachability._named.clear()  # a cache by key, and the keys are those of the last run of the seed
        incarnation = self.auditor.incarnation()
        Catalog(incarnation.stores.table, incarnation.stores.system).ensure_defaults()
        metadata = None if self.plan.ttl_key is None else {ttl.TTL_KEY: self.plan.ttl_key}
        for name in ("a", "b"):
            stored = schema.reconcile(None, None, metadata)
            made = incarnation.engine.create_collection(TENANT, DATABASE, name, metadata, stored)
            self.cast.scopes.append(Scope(TENANT, DATABASE, made.id))

    def _living(self) -> list[CollectionLog]:
        states = [(log, self.cast.observer.collection(f"C#{log.id}")) for log in self.cast.observer.logs.values()]
        return [log for log, state in states if state is not None and not state.is_dropped]

    def _audit(self, *, is_running: bool = True) -> None:
        """Read and verify everything; `is_running`: no time has passed that would end the retention of anything."""
        incarnation, random = self.auditor.incarnation(), self.environment.random
        for log in self._living():
            scope = Scope(TENANT, DATABASE, log.id)
            found = incarnation.engine.get(scope, Selection(), None, 0, EVERYTHING)
            if found.position != log.last:
                raise Violation(f"{log.name} is read up to entry {found.position}, its log ends at {log.last}")
            now = self.environment.scheduler.time
            check_contents(log, log.last, as_pairs(found), (now, now))
            for position in sorted({random.randint(log.first, log.last) for _ in range(2)}):
                self._audit_past(log, scope, position, is_running=is_running)
        for target in every_collection.all_collections(incarnation.stores):
            report = verify.verify(incarnation.stores, target)
            if report is not None and report.problems:
                raise Violation(f"{target} is damaged: {report.problems}")
        self._audit_imports()
        check_joint_commits(self.cast)

    def _audit_past(self, log: CollectionLog, scope: Scope, position: int, *, is_running: bool) -> None:
        engine = self.auditor.incarnation().engine
        try:
            found = engine.get(scope, Selection(), None, 0, EVERYTHING, at=PointInTime(position=position))
        except InvalidArgument as error:
            has_retention = self.plan.settings.retention_seconds > 0
            if is_running and has_retention and not self.plan.rates.jump and not self.plan.rates.leap:
                raise Violation(f"entry {position} of {log.name} cannot be read: {error}") from error
            return
        time = log.time(position) / 1000
        check_contents(log, position, as_pairs(found), (time, time))

    def _audit_imports(self) -> None:
        """As many chunks are in a log as the progress of its import says."""
        for item in self.environment.table.partitions.get("IMPORTS", {}).values():
            log = next(log for log in self.cast.observer.logs.values() if str(log.id) == item.sk)
            chunks = [f"chunk {number} of {log.id}" for number in range(int(item.value))]
            imported = [
                batch.documents[0] for batch in log.written if batch and batch.documents and batch.ids[0][:3] == "imp"
            ]
            if imported != chunks:
                raise Violation(f"{item.value!r} chunks of {log.name} are imported, its log has {imported}")

    def _finish(self) -> None:
        """Set the clocks right, let time pass, finish all work: the same records remain, and no garbage."""
        settings, stores = self.plan.settings, self.auditor.incarnation().stores
        for _ in range(2):
            self._work()
            self.environment.scheduler.time += settings.retention_seconds + 3 * settings.gc_grace_seconds + 10
        self._work()
        self._audit(is_running=False)
        purge.purge_dropped(stores)

    def _work(self) -> None:
        stores = self.auditor.incarnation().stores
        for log in self._living():
            index(stores, Replica.for_indexer(stores, log.id), log.id, idle=True)
            gc.collect_garbage(stores, log.id)
        purge.purge_dropped(stores)
