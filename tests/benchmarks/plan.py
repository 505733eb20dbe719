"""The order of a run: which phase comes when, and that the two servers take turns."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import importing, moving, past, writing
from tests.benchmarks.bare import Bare
from tests.benchmarks.contenders import Contender, disk_at_rest
from tests.benchmarks.corpus import Corpus
from tests.benchmarks.memory import PeakMemory
from tests.benchmarks.reading import Readers
from tests.benchmarks.targets import Samples
from tests.benchmarks.truth import Judge
from tests.support.wire import build

MEGABYTE = 1_000_000
DELETED_SHARE = 1 / 57
"""The share of the corpus that one `delete where` takes: the section games of the Debian corpus."""

Note = Callable[[str], None]


@dataclass
class Run:
    """One run over `contenders`, each with a folder of its own below `folder`; `phases` are the ones asked for."""

    corpus: Corpus
    contenders: list[Contender]
    folder: Path
    phases: Collection[str]
    rounds: int
    note: Note

    def measure(self) -> Samples:
        """Everything, in order. The servers are stopped at the end, come what may."""
        samples = Samples()
        with Bare() as bare:
            try:
                self._ingest(samples)
                self._read(samples, bare)
                self._move(samples)
                self._write(samples, bare)
                self._end(samples, bare)
            finally:
                for each in self.contenders:
                    each.stop()
        if "import" in self.phases and any(each.ours for each in self.contenders):
            self._import(samples)
        return samples

    def _turns(
        self,
        title: str,
        step: Callable[[Contender, int], None],
        rounds: int | None = None,
        contenders: list[Contender] | None = None,
    ) -> None:
        """Each round of `step`, ours then theirs, after the server has come to rest."""
        for number in range(self.rounds if rounds is None else rounds):
            for contender in self.contenders if contenders is None else contenders:
                self.note(f"{title}, round {number + 1}, {contender.name}")
                contender.settle()
                step(contender, number)

    def _ingest(self, samples: Samples) -> None:
        rounds = min(self.rounds, 2) if "ingest" in self.phases else 1

        def fill(contender: Contender, number: int) -> None:
            writing.ingest(contender, self.corpus, samples)
            if number + 1 < rounds:
                contender.stop()

        for number in range(rounds):
            for contender in self.contenders:
                self.note(f"ingest, round {number + 1}, {contender.name}")
                contender.folder = self.folder / f"{contender.name}-{number}"
                contender.start()
                if number + 1 == rounds:
                    contender.memory = PeakMemory(contender.running.process.pid)
                fill(contender, number)
                if number + 1 == rounds:
                    contender.settle()
        if {"disk", "shrunk"} & set(self.phases):
            self.note("disk, waiting for rest")
            for name, used in disk_at_rest(self.contenders).items():
                samples.add("disk_past", name, used / MEGABYTE)

    def _read(self, samples: Samples, bare: Bare) -> None:
        readers = Readers(self.corpus, Judge(self.corpus), bare, samples)
        if "query" in self.phases:
            self._turns("query", readers.query)
        if "stock" in self.phases:
            self._turns("query, stock client", readers.stock)
        if "threads" in self.phases:
            self._turns("four threads", lambda each, number: readers.throughput("threads", each, number))
        if "filters" in self.phases:
            self._turns("filters", readers.filters)
        if "contains" in self.phases:
            self._turns("$contains", readers.contains)
        if "workers" in self.phases:
            self._two_workers(samples, readers)

    def _two_workers(self, samples: Samples, readers: Readers) -> None:
        for each in self.contenders:
            if each.ours:
                self._finish_memory(each, samples)
                each.stop()
                each.start(("--workers", "2"))
        self._turns("four threads, two workers", lambda each, number: readers.throughput("workers", each, number))
        for each in self.contenders:
            if each.ours:
                each.stop()
                each.start()

    def _import(self, samples: Samples) -> None:
        files = importing.write(self.corpus, self.folder / "files")
        for number in range(self.rounds):
            for name, path in files.items():
                self.note(f"import of {name}, round {number + 1}")
                importing.measure(name, path, self.corpus, self.folder / f"imported-{name}-{number}", samples)

    def _move(self, samples: Samples) -> None:
        if "export" in self.phases:
            ours = [each for each in self.contenders if each.ours]
            self._turns(
                "export",
                lambda each, number: moving.export(each, self.corpus, self.folder, samples, number),
                contenders=ours,
            )
        if "move" in self.phases:
            theirs = [each for each in self.contenders if not each.ours]
            self._turns(
                "move",
                lambda each, number: moving.move(each, self.corpus, self.folder, samples, number),
                min(self.rounds, 2),
                theirs,
            )

    def _write(self, samples: Samples, bare: Bare) -> None:
        if "past" in self.phases:
            ours = [each for each in self.contenders if each.ours]
            self._turns("fork", lambda each, number: past.fork(each, samples, number), contenders=ours)
            self._turns(
                "past", lambda each, number: past.query(each, self.corpus, bare, samples, number), contenders=ours
            )
        if {"disk", "shrunk"} & set(self.phases):
            self._weigh("disk", samples)
        if "update" in self.phases:
            self._turns("update", lambda each, number: writing.update(each, self.corpus, bare, samples, number))
        if "reopen" in self.phases:
            self._turns("reopen", lambda each, number: self._reopen(each, number, samples), self.rounds + 2)
        if "delete" in self.phases:
            sections = self.corpus.sections_near(round(len(self.corpus) * DELETED_SHARE), self.rounds)
            self._turns(
                "delete where",
                lambda each, number: writing.delete_where(each, sections[number], bare, samples),
                len(sections),
            )

    def _reopen(self, contender: Contender, number: int, samples: Samples) -> None:
        body = {"query_embeddings": [self.corpus.queries[number]], "n_results": 10}
        self._finish_memory(contender, samples)
        contender.stop()
        took = contender.start_to_first_answer(build("POST", contender.path("query"), body))
        samples.add("reopen", contender.name, 1000 * took)

    def _end(self, samples: Samples, bare: Bare) -> None:
        for each in self.contenders:
            self._finish_memory(each, samples)
        if "shrunk" in self.phases:
            for each in self.contenders:
                self.note(f"deleting 90 %, {each.name}")
                writing.delete_most(each, self.corpus, bare)
                each.settle()
            self.note("disk, waiting for rest")
            disk_at_rest(self.contenders)
            self._weigh("shrunk", samples)

    def _weigh(self, key: str, samples: Samples) -> None:
        """The disk, with the past given up where one is kept."""
        for each in self.contenders:
            if each.ours:
                self._finish_memory(each, samples)
                past.forget(each)
            samples.add(key, each.name, each.disk() / MEGABYTE)

    def _finish_memory(self, contender: Contender, samples: Samples) -> None:
        """Memory is that of the server that took the records in and answered the reads, in one life."""
        if contender.memory is None:
            return
        peak = contender.memory.finish()
        contender.memory = None
        if peak is not None and "memory" in self.phases:
            samples.add("memory", contender.name, peak / MEGABYTE)
