"""The architecture diagram, drawn from the templates: Mermaid, with a node for each resource that does something.

Arrows follow calls and messages. Those of functions come from what their roles may do, the others from events, routes
and the queue's redrive policy.
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
    "AWS::SNS::Topic": ("SNS", '["{}"]'),
}
VERBS = {
    **dict.fromkeys(("GetItem", "BatchGetItem", "Query", "ConditionCheckItem", "GetObject"), "read"),
    **dict.fromkeys(("PutItem", "UpdateItem", "BatchWriteItem", "PutObject", "AbortMultipartUpload"), "write"),
    **dict.fromkeys(("DeleteItem", "DeleteObject"), "delete"),
    "SendMessage": "send",
}
"""What an arrow says of the actions of a policy. Events draw the arrows of receiving; logs and traces have none, nor
has listing, which the API may do only to be told that an object is missing."""


def mermaid() -> str:
    """The diagram, as a block of markdown."""
    nodes = [*_nodes("template", templates.read(TEMPLATE))]
    lines = ["```mermaid", "flowchart LR", '  clients(["clients"])', *(f"  {each}" for each in nodes)]
    for name, path in NESTED.items():
        inner = list(_nodes(name, templates.read(path)))
        if inner:
            lines += [f'  subgraph {name}["infra/{path.name}"]', *(f"    {each}" for each in inner), "  end"]
    lines += [f"  {each}" for each in dict.fromkeys([*_requests(), *_events(), *_rights(), *_failures(), *_alarms()])]
    return "\n".join([*lines, "```"]) + "\n"


def _nodes(stack: str, template: dict[str, Any]) -> Iterator[str]:
    alarms = 0
    for name, each in template["Resources"].items():
        service, shape = SHAPES.get(each["Type"], ("", ""))
        if each["Type"] == "AWS::CloudWatch::Alarm":
            alarms += 1
        elif service:
            yield f"{name}{shape.format(f'{name}<br/>{service}')}"
        for event, schedule in _schedules(each):
            expression = schedule["Properties"]["ScheduleExpression"]
            yield f'{name}{event}(["{expression}<br/>EventBridge"])'
    if alarms:
        service, shape = SHAPES["AWS::CloudWatch::Alarm"]
        yield f"{stack}Alarms{shape.format(f'{alarms} alarms<br/>{service}')}"


def _schedules(resource: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    events = resource.get("Properties", {}).get("Events", {}) if "Function" in resource["Type"] else {}
    return [(name, event) for name, event in events.items() if event["Type"] == "ScheduleV2"]


def _resource(value: Any, path: Path = TEMPLATE) -> str:
    """The logical name of the resource that a value of a template means, in whichever stack it is."""
    if "Ref" in value:
        return str(value["Ref"]).partition(".")[0]
    name, attribute = value["Fn::GetAtt"]
    if not attribute.startswith("Outputs."):
        return str(name)
    child = path.parent / templates.read(path)["Resources"][name]["Properties"]["TemplateURL"]
    return _resource(templates.read(child)["Outputs"][attribute.removeprefix("Outputs.")]["Value"], child)


def _requests() -> Iterator[str]:
    for integration in templates.resources(NESTED["api"], "AWS::ApiGatewayV2::Integration").values():
        api = integration["Properties"]["ApiId"]["Ref"]
        target = templates.children()["api"]["Parameters"][integration["Properties"]["IntegrationUri"]["Ref"]]
        yield f"clients -->|HTTPS| {api}"
        yield f"{api} --> {_resource(target)}"


def _events() -> Iterator[str]:
    for name, function in templates.functions().items():
        for event, each in function.get("Events", {}).items():
            if each["Type"] == "SQS":
                yield f"{_resource(each['Properties']['Queue'])} -->|batches| {name}"
            else:
                task = re.sub(r'[{}"]', "", each["Properties"]["Input"])
                yield f"{name}{event} -->|{task}| {name}"


def _rights() -> Iterator[str]:
    for name, function in templates.functions().items():
        role = function["Role"]["Fn::GetAtt"][1].removeprefix("Outputs.")
        verbs: dict[str, dict[str, None]] = {}
        for statement in templates.statements(role):
            actions = [each.partition(":")[2] for each in templates.listed(statement["Action"])]
            said = [VERBS[each] for each in actions if each in VERBS]
            if said:
                parameter = re.search(r"\w+Arn", str(statement["Resource"]))
                assert parameter, statement
                target = _resource(templates.children()["permissions"]["Parameters"][parameter[0]])
                verbs.setdefault(target, {}).update(dict.fromkeys(said))
        for target, said_of in verbs.items():
            yield f"{name} -->|{', '.join(sorted(said_of))}| {target}"


def _failures() -> Iterator[str]:
    for name, queue in templates.resources(NESTED["storage"], "AWS::SQS::Queue").items():
        redrive = queue["Properties"].get("RedrivePolicy")
        if redrive:
            target = redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]
            yield f"{name} -.->|failed {redrive['maxReceiveCount']} times| {target}"


def _alarms() -> Iterator[str]:
    for topic, each in templates.resources(NESTED["observability"], "AWS::SNS::Topic").items():
        for subscription in each["Properties"]["Subscription"]:
            yield f"observabilityAlarms -.->|{subscription['Protocol']}, if asked for| {topic}"
