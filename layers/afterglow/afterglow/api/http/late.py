"""Stand-ins in the route table: handlers and models that are imported when something needs them.

Of a hundred routes a process may serve three, and the start of a container is paid for by its first request. A table
imports what it names for type checkers alone, and has a stand-in otherwise::

    if TYPE_CHECKING:
        from afterglow.api.v2 import search
    else:
        search = late("afterglow.api.v2.search")
"""

from importlib import import_module
from types import GenericAlias
from typing import Any, get_args, get_origin


class Late:
    """A function or class of a module, which is imported when it is called or loaded."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__ = module
        self.__name__ = name
        self._loaded: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        return self.load()(*arguments)

    def load(self) -> Any:
        """The function or class."""
        if self._loaded is None:
            self._loaded = getattr(import_module(self.__module__), self.__name__)
        return self._loaded


class LateModule:
    """A module whose attributes are stand-ins, one for each name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Late:
        """The stand-in of this name."""
        if name.startswith("_"):
            raise AttributeError(name)
        stand_in = Late(self._name, name)
        setattr(self, name, stand_in)
        return stand_in


def late(name: str) -> LateModule:
    """The stand-in of a module."""
    return LateModule(name)


def load(value: Any) -> Any:
    """What a value of a route stands for: the class, or the list of it; any other value itself."""
    if isinstance(value, Late):
        return value.load()
    if isinstance(value, GenericAlias) and any(isinstance(argument, Late) for argument in get_args(value)):
        origin = get_origin(value)
        return origin[tuple(load(argument) for argument in get_args(value))]  # type: ignore[index]
    return value
