"""What `make local` writes: a value for every variable that only a deployment has, and a template that takes them."""

from collections import defaultdict
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tests.infra import templates
from tests.infra.templates import NESTED, ROOT, TEMPLATE

_SPEC = spec_from_file_location("local_account", ROOT / "infra" / "local_account.py")
assert _SPEC is not None
assert _SPEC.loader is not None
local: Any = module_from_spec(_SPEC)
_SPEC.loader.exec_module(local)

ENDPOINT = "http://127.0.0.1:4566"


def test_every_variable_that_needs_a_deployment_has_a_value() -> None:
    written = local.variables(defaultdict(str), ENDPOINT)
    assert set(written) == set(templates.functions())
    for name, function in templates.functions().items():
        declared = function["Environment"]["Variables"]
        of_deployment = {key for key, value in declared.items() if not isinstance(value, str) and "Ref" not in value}
        assert of_deployment <= set(written[name]) <= {*declared, "AWS_ENDPOINT_URL"}, name


def test_the_storage_gets_all_its_parameters() -> None:
    assert set(local._PARAMETERS) == set(templates.read(NESTED["storage"])["Parameters"])
    given = templates.children()["storage"]["Parameters"]
    assert {name: given[name] for name in local._SECONDS} == local._SECONDS


def test_the_local_template_has_the_endpoint_and_no_other_change(tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text(local.local_template(TEMPLATE.read_text()))
    made, source = templates.read(tmp_path / "local.yaml"), templates.read(TEMPLATE)
    assert made["Globals"]["Function"]["Environment"]["Variables"].pop("AWS_ENDPOINT_URL") == ""
    assert made == source
    with pytest.raises(ValueError, match="no variables"):
        local.local_template("Resources: {}\n")
