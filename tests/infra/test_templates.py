"""What the templates promise."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from afterglow.bulk.import_messages import PREFIX as PREFIX_OF_FILES
from afterglow.settings import PREFIX, Settings
from tests.infra import templates
from tests.infra.templates import ALL, NESTED, ROOT, TEMPLATE
from tests.support.server import script

named = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
function = pytest.mark.parametrize("name", sorted(templates.functions()))


def test_the_linter_finds_nothing() -> None:
    found = subprocess.run(
        [script("cfn-lint"), "--", *map(str, ALL)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)


@named
def test_parameters_are_described(path: Path) -> None:
    for name, parameter in templates.read(path)["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        if path == TEMPLATE:
            assert "Default" in parameter, name
            assert {"AllowedValues", "MinValue", "AllowedPattern"} & set(parameter), f"{name} may be anything"


def test_parameters_are_in_the_groups_that_the_console_shows() -> None:
    template = templates.read(TEMPLATE)
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(template["Parameters"])


def test_nested_templates_are_all_used_and_given_what_they_ask_for() -> None:
    assert set(templates.children()) == set(NESTED)
    for name, properties in templates.children().items():
        assert set(properties["Parameters"]) == set(templates.read(NESTED[name])["Parameters"])


@named
def test_what_holds_data_outlives_the_stack(path: Path) -> None:
    holding = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::S3::BucketPolicy"}
    for name, resource in templates.read(path)["Resources"].items():
        if resource["Type"] in holding:
            assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain", name


def test_the_table() -> None:
    (table,) = templates.resources(NESTED["storage"], "AWS::DynamoDB::Table").values()
    properties = table["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_the_bucket() -> None:
    (bucket,) = templates.resources(NESTED["storage"], "AWS::S3::Bucket").values()
    properties = bucket["Properties"]
    assert "BucketEncryption" in properties
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    rules = properties["LifecycleConfiguration"]["Rules"]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    expirations = [rule["NoncurrentVersionExpiration"] for rule in rules if "NoncurrentVersionExpiration" in rule]
    table = templates.resources(NESTED["storage"], "AWS::DynamoDB::Table")["Table"]["Properties"]
    restorable = table["PointInTimeRecoverySpecification"]["RecoveryPeriodInDays"]
    assert expirations == [{"NoncurrentDays": restorable}], "a restored table needs the objects of its time"
    assert all("Prefix" not in rule and "ExpirationInDays" not in rule for rule in rules), "no current object expires"


def test_the_bucket_is_reached_over_tls_only() -> None:
    (policy,) = templates.resources(NESTED["storage"], "AWS::S3::BucketPolicy").values()
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": False}}


def test_queues_are_encrypted_and_in_order() -> None:
    queues = templates.resources(NESTED["storage"], "AWS::SQS::Queue")
    assert set(queues) == {"Queue", "DeadLetters", "ImportQueue", "ImportDeadLetters"}
    for name, queue in queues.items():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
        # S3 sends to no queue that has an order.
        assert queue["Properties"].get("FifoQueue", False) is not name.startswith("Import")
    for name in ("Queue", "ImportQueue"):
        assert queues[name]["Properties"]["RedrivePolicy"]["maxReceiveCount"] == Settings().import_max_attempts == 3


def test_a_message_is_hidden_for_as_long_as_the_indexer_may_run() -> None:
    hidden = templates.children()["storage"]["Parameters"]["VisibilitySeconds"]
    assert hidden >= templates.functions()["IndexerFunction"]["Timeout"] + 30


def test_the_indexer_answers_which_messages_failed() -> None:
    (event,) = templates.functions()["IndexerFunction"]["Events"].values()
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert event["Properties"]["BatchSize"] <= 10, "the most that a FIFO queue hands out"
    assert "MaximumConcurrency" in event["Properties"]["ScalingConfig"]


def test_a_file_that_is_put_is_a_message_to_the_importer() -> None:
    bucket = templates.resources(NESTED["storage"], "AWS::S3::Bucket")["Bucket"]
    (notification,) = bucket["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    assert notification["Queue"] == {"Fn::GetAtt": ["ImportQueue", "Arn"]}
    assert notification["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": PREFIX_OF_FILES}]
    assert bucket["DependsOn"] == "ImportQueuePolicy", "S3 refuses a queue that it may not send to"


def test_the_importer() -> None:
    importer = templates.functions()["ImporterFunction"]
    (event,) = importer["Events"].values()
    assert event["Properties"]["BatchSize"] == 1, "a message may take all the time that there is"
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    hidden = templates.children()["storage"]["Parameters"]["ImportVisibilitySeconds"]
    assert hidden >= 6 * importer["Timeout"]
    assert importer["RecursiveLoop"] == "Allow"


def test_the_indexer_may_go_on_in_messages_to_itself() -> None:
    """Lambda otherwise stops the sixteenth in a row."""
    assert templates.functions()["IndexerFunction"]["RecursiveLoop"] == "Allow"


def test_the_grace_period_of_garbage_exceeds_the_time_of_a_job() -> None:
    from afterglow.settings import AWS_DEFAULTS

    for properties in templates.functions().values():
        assert AWS_DEFAULTS.gc_grace_seconds > 2 * properties["Timeout"]


@function
def test_functions_log_to_a_group_with_a_retention(name: str) -> None:
    group = templates.functions()[name]["LoggingConfig"]["LogGroup"]["Ref"]
    assert "RetentionInDays" in templates.read(TEMPLATE)["Resources"][group]["Properties"]


@named
def test_log_groups_have_a_retention(path: Path) -> None:
    for name, group in templates.resources(path, "AWS::Logs::LogGroup").items():
        assert "RetentionInDays" in group["Properties"], name


@function
def test_functions_have_roles_of_their_own(name: str) -> None:
    roles = [function["Role"]["Fn::GetAtt"] for function in templates.functions().values()]
    assert len(roles) == len({str(role) for role in roles})
    stack, attribute = templates.functions()[name]["Role"]["Fn::GetAtt"]
    role = attribute.removeprefix("Outputs.")
    assert stack == "Permissions"
    assert role in templates.resources(NESTED["permissions"], "AWS::IAM::Role")


@function
def test_functions_get_only_known_settings(name: str) -> None:
    variables = templates.functions()[name]["Environment"]["Variables"]
    ours = {variable.removeprefix(PREFIX).lower() for variable in variables if variable.startswith(PREFIX)}
    assert {"table", "bucket", "queue"} <= ours <= set(Settings.__dataclass_fields__)
    assert {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"} <= set(variables)


@function
def test_functions_are_there(name: str) -> None:
    properties = templates.functions()[name]
    module, _, handler = properties["Handler"].partition(".")
    source = (ROOT / properties["CodeUri"] / f"{module}.py").read_text()
    assert f"def {handler}(event" in source or f"{handler} =" in source


def test_what_the_api_gateway_waits_for_is_longer_than_the_function_takes() -> None:
    (integration,) = templates.resources(NESTED["api"], "AWS::ApiGatewayV2::Integration").values()
    assert integration["Properties"]["PayloadFormatVersion"] == "2.0"
    assert integration["Properties"]["TimeoutInMillis"] > templates.functions()["ApiFunction"]["Timeout"] * 1000


def test_no_path_prefix_is_needed() -> None:
    (stage,) = templates.resources(NESTED["api"], "AWS::ApiGatewayV2::Stage").values()
    (route,) = templates.resources(NESTED["api"], "AWS::ApiGatewayV2::Route").values()
    assert stage["Properties"]["StageName"] == route["Properties"]["RouteKey"] == "$default"
    assert {"DestinationArn", "Format"} == set(stage["Properties"]["AccessLogSettings"])
    assert {"ThrottlingRateLimit", "ThrottlingBurstLimit"} == set(stage["Properties"]["DefaultRouteSettings"])


def test_snapstart_and_a_large_cache_are_exclusive() -> None:
    properties = templates.functions()["ApiFunction"]
    assert properties["EphemeralStorage"]["Size"] == {"Fn::If": ["SnapStartEnabled", 512, {"Ref": "ApiStorage"}]}
    assert properties["SnapStart"]["ApplyOn"] == {"Fn::If": ["SnapStartEnabled", "PublishedVersions", "None"]}
    assert templates.read(TEMPLATE)["Parameters"]["SnapStart"]["Default"] == "off"


def test_alarms_say_what_to_do_and_cost_next_to_nothing() -> None:
    alarms = templates.resources(NESTED["observability"], "AWS::CloudWatch::Alarm")
    assert len(alarms) <= 11, "ten are free in an account"
    for name, alarm in alarms.items():
        assert alarm["Properties"]["AlarmDescription"], name
        assert alarm["Properties"]["TreatMissingData"] == "notBreaching", f"{name} would ring while nobody calls"


def test_the_processor_is_chosen_in_one_place() -> None:
    parameters: dict[str, Any] = templates.read(TEMPLATE)["Parameters"]
    makefile = (ROOT / "layers" / "dependencies" / "Makefile").read_text()
    assert f"ARCHITECTURE ?= {parameters['Architecture']['Default']}\n" in makefile
    for properties in templates.functions().values():
        assert properties["Architectures"] == [{"Ref": "Architecture"}]
        assert properties["Runtime"] == "python3.13"
    assert "--python-version 3.13 " in makefile
