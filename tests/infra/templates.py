"""The templates as CloudFormation reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cfnlint.decode.cfn_yaml import load

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
NESTED = {path.stem: path for path in sorted((ROOT / "infra").glob("*.yaml"))}
ALL = [TEMPLATE, *NESTED.values()]

Resource = dict[str, Any]


def read(path: Path) -> dict[str, Any]:
    """One template; `!Ref X` is {"Ref": "X"}, `!GetAtt X.Y` {"Fn::GetAtt": ["X", "Y"]}."""
    return dict(load(str(path)))


def resources(path: Path, kind: str) -> dict[str, Resource]:
    """The resources of one type, by logical name."""
    return {name: resource for name, resource in read(path)["Resources"].items() if resource["Type"] == kind}


def functions() -> dict[str, Resource]:
    """The properties of each function, with what all of them share."""
    shared = read(TEMPLATE)["Globals"]["Function"]
    found = {}
    for name, function in resources(TEMPLATE, "AWS::Serverless::Function").items():
        own = function["Properties"]
        variables = {**shared["Environment"]["Variables"], **own["Environment"]["Variables"]}
        found[name] = {**shared, **own, "Environment": {"Variables": variables}}
    return found


def children() -> dict[str, Resource]:
    """The nested stacks by the name of their template in `infra/`: properties."""
    stacks = resources(TEMPLATE, "AWS::CloudFormation::Stack").values()
    return {Path(stack["Properties"]["TemplateURL"]).stem: stack["Properties"] for stack in stacks}


def statements(role: str) -> Iterator[Resource]:
    """The statements of a role's policies, those under a condition too."""
    for policy in resources(NESTED["permissions"], "AWS::IAM::Role")[role]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if "Fn::If" in statement:
                yield from (branch for branch in statement["Fn::If"][1:] if "Effect" in branch)
            else:
                yield statement


def branches(value: Any) -> list[Any]:
    """The values that a property may have, under all conditions."""
    if isinstance(value, dict) and "Fn::If" in value:
        return [found for branch in value["Fn::If"][1:] for found in branches(branch)]
    return [value]


def listed(value: Any) -> list[Any]:
    """What may stand alone, as a list."""
    return value if isinstance(value, list) else [value]
