"""Hooks around a snapshot, as the runtime calls them."""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from afterglow.aws_lambda import snapstart


class Hooks(ModuleType):
    """Stands in for the runtime's module."""

    def __init__(self) -> None:
        super().__init__("snapshot_restore_py")
        self.__spec__ = ModuleSpec("snapshot_restore_py", None)
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []
        self.register_before_snapshot = self.before.append
        self.register_after_restore = self.after.append


def test_the_order_of_things(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = Hooks()
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", hooks)
    done: list[str] = []
    snapstart.register_hooks(lambda: done.append("first requests"), lambda: done.append("forget"))
    assert done == []
    for hook in hooks.before:
        hook()
    assert done == ["first requests", "forget"]
    for name in ("afterglow.api.openapi", "afterglow.api.v1.records", "afterglow.api.v2.search", "usearch.index"):
        assert name in sys.modules
    for hook in hooks.after:
        hook()
    assert done == ["first requests", "forget", "forget"]


def test_without_the_runtime_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "snapshot_restore_py", raising=False)
    snapstart.register_hooks(lambda: 1 / 0, lambda: None)
