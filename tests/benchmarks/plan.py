"""The order of a run: its phases, with the two servers taking turns."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import imports, migrate, time_travel, writes
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.ground_truth import GroundTruth
from tests.benchmarks.http_client import HttpClientProcess
from tests.benchmarks.memory import PeakMemory
from tests.benchmarks.peers import Peer, stable_disk_usage
from tests.benchmarks.reads import Readers
from tests.benchmarks.targets import Samples
from tests.support.wire import build

MEGABYTE = 1_000_000
DELETED_SHARE = 1 / 57
"""The share of the corpus that one `delete where` takes: the section games of the Debian corpus."""

Note = Callable[[str], None]


@dataclass
class Run:
    """One run over `peers`, each with a folder of its own below `folder`; `phases` are the requested ones."""

    corpus: Corpus
    peers: list[Peer]
    folder: Path
    phases: Collection[str]
    rounds: int
    note: Note

    def measure(self) -> Samples:
        """Run all phases in order. The servers are stopped in any case."""
        samples = Samples()
        with HttpClientProcess() as http:
            try:
                self._ingest(samples)
                self._read(samples, http)
                self._export_and_migrate(samples)
                self._write(samples, http)
                self._end(samples, http)
            finally:
                for peer in self.peers:
                    peer.stop()
        if "import" in self.phases and any(peer.is_afterglow for peer in self.peers):
            self._import_files(samples)
        return samples

    def _turns(
        self,
        title: str,
        step: Callable[[Peer, int], None],
        rounds: int | None = None,
        peers: list[Peer] | None = None,
    ) -> None:
        """Each round of `step`, Afterglow then Chroma, each once idle."""
        for number in range(self.rounds if rounds is None else rounds):
            for peer in self.peers if peers is None else peers:
                self.note(f"{title}, round {number + 1}, {peer.name}")
                peer.settle()
                step(peer, number)

    def _ingest(self, samples: Samples) -> None:
        rounds = min(self.rounds, 2) if "ingest" in self.phases else 1

        def fill(peer: Peer, number: int) -> None:
            writes.ingest(peer, self.corpus, samples)
            if number + 1 < rounds:
                peer.stop()

        for number in range(rounds):
            for peer in self.peers:
                self.note(f"ingest, round {number + 1}, {peer.name}")
                peer.folder = self.folder / f"{peer.name}-{number}"
                peer.start()
                if number + 1 == rounds:
                    peer.memory = PeakMemory(peer.running.process.pid)
                fill(peer, number)
                if number + 1 == rounds:
                    peer.settle()
        if {"disk", "shrunk"} & set(self.phases):
            self.note("disk, waiting until idle")
            for name, used in stable_disk_usage(self.peers).items():
                samples.add("disk_history", name, used / MEGABYTE)

    def _read(self, samples: Samples, http: HttpClientProcess) -> None:
        readers = Readers(self.corpus, GroundTruth(self.corpus), http, samples)
        if "query" in self.phases:
            self._turns("query", readers.query)
        if "stock" in self.phases:
            self._turns("query, stock client", readers.stock)
        if "threads" in self.phases:
            self._turns("four threads", lambda peer, number: readers.throughput("threads", peer, number))
        if "filters" in self.phases:
            self._turns("filters", readers.filters)
        if "contains" in self.phases:
            self._turns("$contains", readers.contains)
        if "workers" in self.phases:
            self._two_workers(samples, readers)

    def _two_workers(self, samples: Samples, readers: Readers) -> None:
        for peer in self.peers:
            if peer.is_afterglow:
                self._finish_memory(peer, samples)
                peer.stop()
                peer.start(("--workers", "2"))
        self._turns("four threads, two workers", lambda peer, number: readers.throughput("workers", peer, number))
        for peer in self.peers:
            if peer.is_afterglow:
                peer.stop()
                peer.start()

    def _import_files(self, samples: Samples) -> None:
        files = imports.write(self.corpus, self.folder / "files")
        for number in range(self.rounds):
            for name, path in files.items():
                self.note(f"import of {name}, round {number + 1}")
                imports.measure(name, path, self.corpus, self.folder / f"imported-{name}-{number}", samples)

    def _export_and_migrate(self, samples: Samples) -> None:
        if "export" in self.phases:
            afterglow = [peer for peer in self.peers if peer.is_afterglow]
            self._turns(
                "export",
                lambda peer, number: migrate.export(peer, self.corpus, self.folder, samples, number),
                peers=afterglow,
            )
        if "migrate" in self.phases:
            chroma = [peer for peer in self.peers if not peer.is_afterglow]
            self._turns(
                "migrate",
                lambda peer, number: migrate.migrate(peer, self.corpus, self.folder, samples, number),
                min(self.rounds, 2),
                chroma,
            )

    def _write(self, samples: Samples, http: HttpClientProcess) -> None:
        if "time_travel" in self.phases:
            afterglow = [peer for peer in self.peers if peer.is_afterglow]
            self._turns("fork", lambda peer, number: time_travel.fork(peer, samples, number), peers=afterglow)
            self._turns(
                "time_travel",
                lambda peer, number: time_travel.query(peer, self.corpus, http, samples, number),
                peers=afterglow,
            )
        if {"disk", "shrunk"} & set(self.phases):
            self._measure_disk("disk", samples)
        if "update" in self.phases:
            self._turns("update", lambda peer, number: writes.update(peer, self.corpus, http, samples, number))
        if "reopen" in self.phases:
            self._turns("reopen", lambda peer, number: self._reopen(peer, number, samples), self.rounds + 2)
        if "delete" in self.phases:
            sections = self.corpus.sections_near(round(len(self.corpus) * DELETED_SHARE), self.rounds)
            self._turns(
                "delete where",
                lambda peer, number: writes.delete_where(peer, sections[number], http, samples),
                len(sections),
            )

    def _reopen(self, peer: Peer, number: int, samples: Samples) -> None:
        body = {"query_embeddings": [self.corpus.queries[number]], "n_results": 10}
        self._finish_memory(peer, samples)
        peer.stop()
        elapsed = peer.start_to_first_response(build("POST", peer.path("query"), body))
        samples.add("reopen", peer.name, 1000 * elapsed)

    def _end(self, samples: Samples, http: HttpClientProcess) -> None:
        for peer in self.peers:
            self._finish_memory(peer, samples)
        if "shrunk" in self.phases:
            for peer in self.peers:
                self.note(f"deleting 90 %, {peer.name}")
                writes.delete_most(peer, self.corpus, http)
                peer.settle()
            self.note("disk, waiting until idle")
            stable_disk_usage(self.peers)
            self._measure_disk("shrunk", samples)

    def _measure_disk(self, key: str, samples: Samples) -> None:
        """Disk usage, with the history dropped where there is one."""
        for peer in self.peers:
            if peer.is_afterglow:
                self._finish_memory(peer, samples)
                time_travel.drop_history(peer)
            samples.add(key, peer.name, peer.disk() / MEGABYTE)

    def _finish_memory(self, peer: Peer, samples: Samples) -> None:
        """Peak memory of one server process tree over ingest and reads."""
        if peer.memory is None:
            return
        peak = peer.memory.finish()
        peer.memory = None
        if peak is not None and "memory" in self.phases:
            samples.add("memory", peer.name, peak / MEGABYTE)
