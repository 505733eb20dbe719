"""The architecture diagram, generated from the templates: Mermaid, with a node for each active resource.

Arrows are calls and messages: a function's come from the permissions of its role, the others from events, routes and
the queues' redrive policies.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.infra import templates
from tests.infra.templates import NESTED, TEMPLATE

SHAPES = {
    "AWS::ApiGatewayV2::Api": ("HTTP API", '(["{}"])'),
    "AWS::Serverless::Function": ("Lambda", '["{}"]'),
    "AWS::DynamoDB::Table": ("DynamoDB", '[("{}")]'),
    "AWS::S3::Bucket": ("S3", '[("{}")]'),
    "AWS::SQS::Queue": ("SQS FIFO", '[["{}"]]'),
    "AWS::CloudWatch::Alarm": ("CloudWatch", '["{}"]'),
    "AWS::CloudWatch::Dashboard": ("CloudWatch", '["{}"]'),
    "AWS::Lambda::Url": ("function URL", '(["{}"])'),
    "AWS::SNS::Topic": ("SNS", '["{}"]'),
}
VERBS = {
    **dict.fromkeys(("GetItem", "BatchGetItem", "Query", "ConditionCheckItem", "GetObject"), "read"),
    **dict.fromkeys(("PutItem", "UpdateItem", "BatchWriteItem", "PutObject", "AbortMultipartUpload"), "write"),
    **dict.fromkeys(("DeleteItem", "DeleteObject"), "delete"),
    "SendMessage": "send",
    "InvokeFunction": "invoke",
}
"""The label of an arrow by the actions of a policy. Events give the arrows of receiving; logs, traces and listing have
none (the API may list only so that S3 reports a missing object as missing)."""


def mermaid() -> str:
    """The diagram, as a block of markdown."""
    nodes = [*_nodes("template", templates.read(TEMPLATE))]
    lines = ["```mermaid", "flowchart LR", '  clients(["clients"])', *(f"  {node}" for node in nodes)]
    for name, path in NESTED.items():
        inner = list(_nodes(name, templates.read(path)))
        if inner:
            lines += [f'  subgraph {name}["infra/{path.name}"]', *(f"    {node}" for node in inner), "  end"]
    lines += [
        f"  {arrow}" for arrow in dict.fromkeys([*_requests(), *_events(), *_permissions(), *_failures(), *_alarms()])
    ]
    return "\n".join([*lines, "```"]) + "\n"


def _nodes(stack: str, template: dict[str, Any]) -> Iterator[str]:
    alarms = 0
    for name, resource in template["Resources"].items():
        service, shape = SHAPES.get(resource["Type"], ("", ""))
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            alarms += 1
        elif service:
            yield f"{name}{shape.format(f'{name}<br/>{service}')}"
        for event, schedule in _schedules(resource):
            expression = schedule["Properties"]["ScheduleExpression"]
            yield f'{name}{event}(["{expression}<br/>EventBridge"])'
    if alarms:
        service, shape = SHAPES["AWS::CloudWatch::Alarm"]
        yield f"{stack}Alarms{shape.format(f'{alarms} alarms<br/>{service}')}"


def _schedules(resource: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    events = resource.get("Properties", {}).get("Events", {}) if "Function" in resource["Type"] else {}
    return [(name, event) for name, event in events.items() if event["Type"] == "ScheduleV2"]


def _resource(value: Any, path: Path = TEMPLATE) -> str:
    """The logical name of the resource that a template value refers to, in any of the stacks."""
    value = templates.branches(value)[0]
    if "Fn::Sub" in value:
        return _function(value["Fn::Sub"])
    if "Ref" in value:
        return str(value["Ref"]).partition(".")[0]
    name, attribute = value["Fn::GetAtt"]
    if not attribute.startswith("Outputs."):
        return str(name)
    child = path.parent / templates.read(path)["Resources"][name]["Properties"]["TemplateURL"]
    return _resource(templates.read(child)["Outputs"][attribute.removeprefix("Outputs.")]["Value"], child)


def _function(arn: str) -> str:
    """The logical name of the function with this ARN, by the name that its properties give it."""
    return next(
        name
        for name, function in templates.functions().items()
        if arn.endswith(f":{function.get('FunctionName', {}).get('Fn::Sub')}")
    )


def _requests() -> Iterator[str]:
    for integration in templates.resources(NESTED["api"], "AWS::ApiGatewayV2::Integration").values():
        api = integration["Properties"]["ApiId"]["Ref"]
        target = templates.children()["api"]["Parameters"][integration["Properties"]["IntegrationUri"]["Ref"]]
        yield f"clients -->|HTTPS| {api}"
        yield f"{api} --> {_resource(target)}"
    for name, url in templates.resources(NESTED["url"], "AWS::Lambda::Url").items():
        target = templates.children()["url"]["Parameters"][url["Properties"]["TargetFunctionArn"]["Ref"]]
        yield f"clients -->|HTTPS, optional| {name}"
        yield f"{name} --> {_resource(target)}"


def _events() -> Iterator[str]:
    for name, function in templates.functions().items():
        for event, source in function.get("Events", {}).items():
            if source["Type"] == "SQS":
                yield f"{_resource(source['Properties']['Queue'])} -->|batches| {name}"
            else:
                task = re.sub(r'[{}"]', "", source["Properties"]["Input"])
                yield f"{name}{event} -->|{task}| {name}"


def _permissions() -> Iterator[str]:
    for name, function in templates.functions().items():
        role = function["Role"]["Fn::GetAtt"][1].removeprefix("Outputs.")
        verbs: dict[str, dict[str, None]] = {}
        for statement in templates.statements(role):
            actions = [action.partition(":")[2] for action in templates.listed(statement["Action"])]
            labels = [VERBS[action] for action in actions if action in VERBS]
            if labels:
                parameter = re.search(r"\w+Arn", str(statement["Resource"]))
                assert parameter, statement
                target = _resource(templates.children()["permissions"]["Parameters"][parameter[0]])
                verbs.setdefault(target, {}).update(dict.fromkeys(labels))
        for target, labels_of_target in verbs.items():
            yield f"{name} -->|{', '.join(sorted(labels_of_target))}| {target}"


def _failures() -> Iterator[str]:
    for name, queue in templates.resources(NESTED["storage"], "AWS::SQS::Queue").items():
        redrive = queue["Properties"].get("RedrivePolicy")
        if redrive:
            target = redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]
            yield f"{name} -.->|failed {redrive['maxReceiveCount']} times| {target}"


def _alarms() -> Iterator[str]:
    for topic, resource in templates.resources(NESTED["observability"], "AWS::SNS::Topic").items():
        for subscription in resource["Properties"]["Subscription"]:
            yield f"observabilityAlarms -.->|{subscription['Protocol']}, optional| {topic}"
