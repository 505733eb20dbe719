"""What the functions may do: no more than they do."""

import json
import re
from dataclasses import replace
from uuid import UUID

import pytest

from afterglow.bulk.import_layout import ROOT
from afterglow.embedding.model_archive import NAME as MINI_LM
from afterglow.embedding.registry import Registry
from afterglow.log.entry import payload_key
from afterglow.settings import LAMBDA_DEFAULTS, System
from tests.infra import templates
from tests.infra.templates import NESTED, TEMPLATE

ROLES = ["ApiRole", "CompactorRole", "EmbedderRole", "ImporterRole", "IndexerRole", "MaintenanceRole"]
ITEMS = {
    f"dynamodb:{action}"
    for action in (
        *("BatchGetItem", "BatchWriteItem", "ConditionCheckItem", "DeleteItem"),
        *("GetItem", "PutItem", "Query", "UpdateItem"),
    )
}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
EMBEDDERS = templates.read(TEMPLATE)["Parameters"]["Embedder"]["AllowedValues"]
EMBEDS = {"bedrock:InvokeModel"}
INVOKES = {"lambda:InvokeFunction"}
KEY = {"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"}
TRACES = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
EXPECTED = {
    "ApiRole": {
        *EMBEDS,
        *INVOKES,
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "sqs:SendMessage",
    },
    "CompactorRole": {
        *("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"),
        *("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"),
    },
    "EmbedderRole": {"s3:GetObject", "s3:ListBucket"},
    "ImporterRole": {
        *EMBEDS,
        *INVOKES,
        *("s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"),
        *("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"),
    },
    "IndexerRole": {
        *("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"),
        *("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"),
    },
    "MaintenanceRole": {"s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "sqs:SendMessage"},
}

role = pytest.mark.parametrize("role", ROLES)


def test_all_roles_are_listed() -> None:
    assert sorted(templates.resources(NESTED["permissions"], "AWS::IAM::Role")) == ROLES
    for path in templates.ALL:
        if path != NESTED["permissions"]:
            assert "AWS::IAM" not in path.read_text()
    for name, function in templates.functions().items():
        assert "Policies" not in function, f"{name} has permissions besides its role"


@role
def test_rights_are_allowed_one_by_one(role: str) -> None:
    given: set[str] = set()
    for statement in templates.statements(role):
        assert statement["Effect"] == "Allow"
        assert statement["Sid"]
        assert not {"NotAction", "NotResource"} & set(statement)
        given.update(templates.listed(statement["Action"]))
    stores = {"kms:Decrypt"} if role == "EmbedderRole" else ITEMS | KEY
    assert given == LOGS | TRACES | stores | EXPECTED[role]


@role
def test_rights_end_at_what_belongs_to_the_stack(role: str) -> None:
    for statement in templates.statements(role):
        for resource in templates.listed(statement["Resource"]):
            if set(templates.listed(statement["Action"])) == TRACES:
                assert resource == "*", "X-Ray knows no resources"
                continue
            text = json.dumps(resource)
            if set(templates.listed(statement["Action"])) == EMBEDS:
                assert text.endswith(':foundation-model/${Embedder}"}'), "the model of the parameter alone"
                continue
            assert re.search(r"(Table|Bucket|Queue|Logs|Key|EmbedderFunction)Arn", text), f"{statement['Sid']}: {text}"


@role
def test_traces_are_sent_only_when_asked_for(role: str) -> None:
    given = [
        statement for statement in templates.statements(role) if set(templates.listed(statement["Action"])) == TRACES
    ]
    always = [
        statement
        for policy in templates.resources(NESTED["permissions"], "AWS::IAM::Role")[role]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "Fn::If" not in statement
    ]
    assert len(given) == 1
    assert given[0] not in always


@role
def test_only_lambda_takes_the_roles(role: str) -> None:
    properties = templates.resources(NESTED["permissions"], "AWS::IAM::Role")[role]["Properties"]
    (statement,) = properties["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert "ManagedPolicyArns" not in properties


def test_the_api_stores_nothing_but_batches() -> None:
    (batches,) = [
        statement
        for statement in templates.statements("ApiRole")
        if "s3:PutObject" in templates.listed(statement["Action"])
    ]
    assert batches["Resource"] == {"Fn::Sub": "${BucketArn}/*/log/*"}
    assert re.fullmatch(r"[^/]+/log/.+", payload_key(UUID(int=1), 1_700_000_000_000, "nonce"))


def test_the_importer_stores_nothing_but_batches_and_status() -> None:
    (stored,) = [
        statement
        for statement in templates.statements("ImporterRole")
        if "s3:PutObject" in templates.listed(statement["Action"])
    ]
    assert stored["Resource"] == [{"Fn::Sub": "${BucketArn}/*/log/*"}, {"Fn::Sub": "${BucketArn}/" + ROOT + "*"}]


def test_only_the_accounts_buckets_send_to_the_importer() -> None:
    (policy,) = templates.resources(NESTED["storage"], "AWS::SQS::QueuePolicy").values()
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert policy["Properties"]["Queues"] == [{"Ref": "ImportQueue"}]
    assert (statement["Principal"], statement["Action"]) == ({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_only_this_api_calls_the_function() -> None:
    (permission,) = templates.resources(NESTED["api"], "AWS::Lambda::Permission").values()
    properties = permission["Properties"]
    assert properties["Principal"] == "apigateway.amazonaws.com"
    assert ":${Api}/" in properties["SourceArn"]["Fn::Sub"]
    assert not templates.resources(TEMPLATE, "AWS::Lambda::Permission")


def test_the_embedder_reads_its_model_and_nothing_else() -> None:
    (read,) = [found for found in templates.statements("EmbedderRole") if found["Action"] == "s3:GetObject"]
    assert read["Resource"] == {"Fn::Sub": "${BucketArn}/models/*"}
    assert LAMBDA_DEFAULTS.embedding_model_archive.startswith("models/")


def test_its_callers_invoke_the_embedder_and_no_other_function() -> None:
    arn = templates.children()["permissions"]["Parameters"]["EmbedderFunctionArn"]["Fn::Sub"]
    name = templates.functions()["EmbedderFunction"]["FunctionName"]["Fn::Sub"]
    assert arn.endswith(f":function:{name}")
    for role in ("ApiRole", "ImporterRole"):
        (invoke,) = [found for found in templates.statements(role) if found["Action"] == "lambda:InvokeFunction"]
        assert invoke["Resource"] == {"Ref": "EmbedderFunctionArn"}


@pytest.mark.parametrize("model", [model for model in EMBEDDERS if model not in ("none", MINI_LM)])
def test_the_embedder_of_the_stack_is_one_that_the_server_runs(model: str) -> None:
    variable = templates.read(TEMPLATE)["Globals"]["Function"]["Environment"]["Variables"]["AFTERGLOW_EMBEDDER"]
    condition, named, otherwise = variable["Fn::If"]
    assert (condition, otherwise) == ("HasBedrock", {"Fn::If": ["HasEmbedder", "default", "none"]})
    settings = replace(LAMBDA_DEFAULTS, embedder=named["Fn::Sub"].replace("${Embedder}", model))
    registry = Registry(settings, System())
    assert registry.default is not None
    registry.make(registry.default).close()


def test_a_url_is_open_only_if_no_signature_is_required() -> None:
    permissions = templates.resources(NESTED["url"], "AWS::Lambda::Permission")
    assert {permission["Properties"]["Action"] for permission in permissions.values()} == {
        "lambda:InvokeFunction",
        "lambda:InvokeFunctionUrl",
    }
    for permission in permissions.values():
        properties = permission["Properties"]
        assert permission["Condition"] == "IsOpen"
        assert properties.get("InvokedViaFunctionUrl") is True or properties.get("FunctionUrlAuthType") == "NONE"
    assert templates.read(NESTED["url"])["Conditions"]["IsOpen"] == {"Fn::Equals": [{"Ref": "Authorization"}, "NONE"]}
