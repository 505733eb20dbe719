"""A process that was just started: imports a function or the embedded client, and asks it once.

It prints lines of JSON: `{"cpu_ms", "modules_ms": {library: ms}, "modules": {library: number}}` when it is ready, then
`{"cpu_ms"}` of the first answer. Times are those of the processor; a module has what it does not spend in others.
"""

import json
import runpy
import sys
import time
from collections import Counter, defaultdict
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

FUNCTIONS = Path(__file__).parents[2] / "functions"
EMBEDDED = "embedded"


class Meter(MetaPathFinder):
    """Measures what every module of a file takes to be found, read and executed."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._within = [0.0]
        """For each module that is being executed: the seconds of those that it imports."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's spec, with a loader that is measured."""
        began = time.process_time()
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Measured(spec.loader, self)
        self._add(fullname, time.process_time() - began, 0.0)
        return spec

    def execute(self, loader: Loader, module: ModuleType) -> None:
        """Execute a module."""
        began = time.process_time()
        self._within.append(0.0)
        try:
            loader.exec_module(module)
        finally:
            taken = time.process_time() - began
            self._add(module.__name__, taken, self._within.pop())

    def _add(self, name: str, seconds: float, nested: float) -> None:
        self.seconds[name] += seconds - nested
        self._within[-1] += seconds


class _Measured(Loader):
    def __init__(self, loader: Loader, meter: Meter) -> None:
        self._loader = loader
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._meter.execute(self._loader, module)


def library_of(module: str) -> str:
    """The library of a module: its first name, without the underscore of what is built into it."""
    name = module.partition(".")[0]
    return "Python's own" if name.lstrip("_") in sys.stdlib_module_names or name in sys.stdlib_module_names else name


def _report(meter: Meter, cpu: float) -> None:
    seconds: defaultdict[str, float] = defaultdict(float)
    modules: Counter[str] = Counter()
    for name, taken in meter.seconds.items():
        if name in sys.modules:
            seconds[library_of(name)] += taken
            modules[library_of(name)] += 1
    figures = {name: value * 1e3 for name, value in seconds.items()}
    print(json.dumps({"cpu_ms": cpu * 1e3, "modules_ms": figures, "modules": modules}), flush=True)


def _function(name: str, request: dict[str, Any] | None, meter: Meter) -> None:
    handler = runpy.run_path(str(FUNCTIONS / name / "app.py"))["handler"]
    _report(meter, time.process_time())
    if request is None:
        return
    context = SimpleNamespace(
        aws_request_id="bench",
        memory_limit_in_mb=1769,
        get_remaining_time_in_millis=lambda: 29_000,
        function_name=name,
        invoked_function_arn="arn",
    )
    began = time.process_time()
    answer = handler(request, context)
    assert "vectors" in answer or answer.get("statusCode") == 200, answer
    print(json.dumps({"cpu_ms": (time.process_time() - began) * 1e3}), flush=True)


def _embedded(folder: str, meter: Meter) -> None:
    import afterglow

    with afterglow.PersistentClient(folder) as client:
        _report(meter, time.process_time())
        began = time.process_time()
        collection = client.get_collection("start", embedding_function=None)
        found = collection.query(query_embeddings=[1, 0], n_results=1)
        assert found["ids"] == [["a"]], found
        print(json.dumps({"cpu_ms": (time.process_time() - began) * 1e3}), flush=True)


def main() -> None:
    """Start as the first argument says; the second is the event of a request, or the folder of the client."""
    meter = Meter()
    sys.meta_path.insert(0, meter)
    subject, argument = sys.argv[1:]
    if subject == EMBEDDED:
        _embedded(argument, meter)
    else:
        _function(subject, json.loads(argument), meter)


if __name__ == "__main__":
    main()
