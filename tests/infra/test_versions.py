"""A change of anything that the API function runs with publishes a version of it, and so reaches the API."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra import templates
from tests.infra.templates import TEMPLATE
from tests.infra.transformed import resources, transformed

FIXED = {
    "AWS::StackName",
    "AfterglowLayer",  # `PublishLambdaVersion`: see the test below
    "DependenciesLayer",
    "ApiLogs",
    "EmbedderFunction",  # its name is that of the stack; whether there is one is a parameter's
    "AWS::NoValue",
}
"""What the function refers to, and cannot change in a stack without a change of the template."""
FIXED_OUTPUTS = {"Permissions.Outputs.ApiRole", "Storage.Outputs.Queue"}
CHANGED_BY = {"Storage.Outputs.Table": "ExistingTable", "Storage.Outputs.Bucket": "ExistingBucket"}
"""Outputs that change with a parameter, which the description has in their place."""


def _references(value: Any) -> Iterator[str]:
    """Names of parameters, resources and outputs; of a condition, those that it depends on."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield ".".join(inner)
            elif key == "Fn::Sub":
                text, names = (inner, {}) if isinstance(inner, str) else inner
                yield from (name for name in re.findall(r"\$\{([^}]+)\}", text) if name not in names)
                yield from _references(names)
            elif key == "Fn::If":
                yield from _references(templates.read(TEMPLATE)["Conditions"][inner[0]])
                yield from _references(inner[1:])
            else:
                yield from _references(inner)


def test_the_description_of_a_version_names_every_value_that_the_function_has() -> None:
    function = dict(templates.functions()["ApiFunction"])
    described = set(_references(function.pop("VersionDescription")))
    referred = set(_references(function)) - FIXED - FIXED_OUTPUTS
    assert {CHANGED_BY.get(name, name) for name in referred} == described


def test_a_description_fits() -> None:
    parameters = templates.read(TEMPLATE)["Parameters"]
    longest = {"ExistingTable": 90, "ExistingBucket": 63}
    described = set(_references(templates.functions()["ApiFunction"]["VersionDescription"]))
    assert longest.keys() < described <= parameters.keys(), "of nothing else the length is known"
    for name, most in longest.items():
        pattern = parameters[name]["AllowedPattern"]
        assert re.fullmatch(pattern, "a" * most)
        assert not re.fullmatch(pattern, "a" * (most + 1))
    values = sum(longest.values()) + 1
    for name in described - longest.keys():
        allowed = parameters[name].get("AllowedValues") or [parameters[name]["MaxValue"]]
        values += 1 + max(len(str(value)) for value in allowed)
    assert values <= 256


@pytest.mark.stack
def test_new_code_and_new_layers_are_new_versions() -> None:
    def version(**changes: str) -> str:
        (name,) = resources(transformed(**changes), "AWS::Lambda::Version")
        return name

    first = version()
    assert first == version()
    assert len({first, version(code="2"), version(layers="2")}) == 3


@pytest.mark.stack
def test_old_versions_are_deleted() -> None:
    (version,) = resources(transformed(), "AWS::Lambda::Version").values()
    assert version["DeletionPolicy"] == "Delete"
