"""Stand-ins of the route table: nothing is imported before it is needed, and everything can be."""

import subprocess
import sys
from types import GenericAlias

import pytest

from afterglow.api import models, responses
from afterglow.api.http.late import Late, late, load
from afterglow.api.v2 import search
from afterglow.api.v2.routes import ROUTES


def test_a_stand_in_is_what_it_stands_for() -> None:
    module = late("afterglow.api.models")
    assert module.Search is module.Search
    assert load(module.Search) is models.Search
    assert load(GenericAlias(list, (late("afterglow.api.responses").Key,))) == list[responses.Key]
    assert load(late("afterglow.api.v2.search").search) is search.search
    assert late("operator").add(1, 2) == 3
    for value in (None, int, list[int], {"a": 1}):
        assert load(value) is value


def test_an_unknown_name_is_an_error_when_it_is_loaded() -> None:
    with pytest.raises(AttributeError):
        late("afterglow.api.models").Nothing.load()
    with pytest.raises(AttributeError):
        _ = models.Nothing
    with pytest.raises(AttributeError):
        _ = late("afterglow.api.models").__wrapped__


def test_every_route_loads() -> None:
    for route in ROUTES:
        loaded = route.loaded()
        values = (loaded.handler, loaded.read_only, loaded.restricted, loaded.scope_of, loaded.request, loaded.response)
        assert not any(isinstance(value, Late) for value in values)
        assert (route.restricted is route.read_only) == (loaded.restricted is loaded.read_only)
        assert load(loaded.response) is loaded.response


@pytest.mark.slow
def test_the_table_imports_the_busiest_models_alone() -> None:
    program = (
        "import sys, afterglow.api.v2.routes; "
        "print(*(n for n in sys.modules if n.startswith(('afterglow.api.models.', 'afterglow.api.v1.', 'tqdm'))))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    busiest = {"afterglow.api.models.fields", "afterglow.api.models.records"}
    imported = {name for name in found.stdout.split() if not name.startswith("afterglow.api.v1.routes")}
    assert imported == busiest
