"""What the templates promise."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afterglow.aws_lambda.invocation import MARGIN_SECONDS
from afterglow.bulk.import_messages import PREFIX as PREFIX_OF_FILES
from afterglow.server import cors
from afterglow.settings import AWS_DEFAULTS, LAMBDA_DEFAULTS, PREFIX, Settings
from tests.infra import templates
from tests.infra.templates import ALL, NESTED, ROOT, TEMPLATE
from tests.support.server import script

named = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
HIDDEN = {"IndexerFunction": "VisibilitySeconds", "CompactorFunction": "CompactionVisibilitySeconds"}
"""How long the messages of a function are hidden while it works on one: parameters of the storage template."""
CONCURRENCY_OF_NEW_ACCOUNTS = 10

indexing = pytest.mark.parametrize("name", list(HIDDEN))
function = pytest.mark.parametrize("name", sorted(templates.functions()))


@pytest.mark.slow
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
    kinds = ("", "Compaction", "Import")
    assert set(queues) == {f"{kind}{name}" for kind in kinds for name in ("Queue", "DeadLetters")}
    for name, queue in queues.items():
        assert queue["Properties"]["SqsManagedSseEnabled"] == {"Fn::If": ["HasKey", {"Ref": "AWS::NoValue"}, True]}
        # S3 sends to no queue that has an order.
        assert queue["Properties"].get("FifoQueue", False) is not name.startswith("Import")
    for name in (f"{kind}Queue" for kind in kinds):
        assert queues[name]["Properties"]["RedrivePolicy"]["maxReceiveCount"] == Settings().import_max_attempts == 3


@indexing
def test_a_message_is_hidden_for_as_long_as_the_function_may_run(name: str) -> None:
    hidden = templates.children()["storage"]["Parameters"][HIDDEN[name]]
    assert hidden >= templates.functions()[name]["Timeout"] + 10


def test_a_flush_is_back_within_two_minutes_of_a_kill() -> None:
    assert templates.children()["storage"]["Parameters"]["VisibilitySeconds"] <= 120


def test_the_largest_flush_fits_the_time_of_the_indexer() -> None:
    largest = AWS_DEFAULTS.compaction_memory_bytes // 8
    assert 2 * largest / 20_000_000 < templates.functions()["IndexerFunction"]["Timeout"] - MARGIN_SECONDS


@indexing
def test_no_collection_waits_for_another(name: str) -> None:
    (event,) = templates.functions()[name]["Events"].values()
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert event["Properties"]["BatchSize"] == 1
    assert "MaximumConcurrency" in event["Properties"]["ScalingConfig"]


def test_flushes_and_compactions_have_queues_of_their_own() -> None:
    queues = [templates.functions()[name]["Events"]["Messages"]["Properties"]["Queue"] for name in HIDDEN]
    assert queues[0] != queues[1]
    for name in HIDDEN:
        variables = templates.functions()[name]["Environment"]["Variables"]
        assert variables["AFTERGLOW_COMPACTION_QUEUE"] == {"Fn::GetAtt": ["Storage", "Outputs.CompactionQueue"]}


def test_background_work_leaves_room_for_the_api_in_a_new_account() -> None:
    template = templates.read(TEMPLATE)
    most = [
        template["Parameters"][event["Properties"]["ScalingConfig"]["MaximumConcurrency"]["Ref"]]["Default"]
        for function in templates.functions().values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "SQS"
    ]
    assert len(most) == 3
    maintenance = 1
    assert CONCURRENCY_OF_NEW_ACCOUNTS - sum(most) - maintenance >= 3
    for name in ("ApiMemory", "IndexerMemory", "CompactorMemory", "ImporterMemory"):
        assert template["Parameters"][name]["Default"] <= 3008


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


def test_the_embedder_is_there_only_if_it_is_chosen() -> None:
    template, permissions = (templates.read(path) for path in (TEMPLATE, NESTED["permissions"]))
    for name in ("EmbedderFunction", "EmbedderLogs", "EmbeddingLayer"):
        assert template["Resources"][name]["Condition"] == "HasEmbedder"
    assert permissions["Resources"]["EmbedderRole"]["Condition"] == "HasEmbedder"
    embedder = templates.functions()["EmbedderFunction"]
    assert embedder["Layers"] == [{"Ref": "EmbeddingLayer"}]
    assert embedder["Timeout"] > LAMBDA_DEFAULTS.embedding_timeout_seconds
    for name, function in templates.functions().items():
        called = function["Environment"]["Variables"].get("AFTERGLOW_EMBEDDING_LAMBDA")
        expected = {"Fn::If": ["HasEmbedder", {"Ref": "EmbedderFunction"}, ""]}
        assert called == (expected if name in ("ApiFunction", "ImporterFunction") else None), name


@indexing
def test_the_indexer_may_go_on_in_messages_to_itself(name: str) -> None:
    """Lambda otherwise stops the sixteenth in a row."""
    assert templates.functions()[name]["RecursiveLoop"] == "Allow"


def test_the_grace_period_of_garbage_exceeds_the_time_of_a_job() -> None:
    for properties in templates.functions().values():
        assert AWS_DEFAULTS.gc_grace_seconds > 2 * max(templates.branches(properties["Timeout"]))


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
    timeout = templates.functions()["ApiFunction"]["Timeout"]
    assert timeout == {"Fn::If": ["HasUrl", 900, 29]}
    assert integration["Properties"]["TimeoutInMillis"] > min(templates.branches(timeout)) * 1000


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
        assert "Metrics" not in alarm["Properties"], "each metric of an alarm costs as much as an alarm"


def test_slow_requests_raise_an_alarm_before_their_time_is_up() -> None:
    alarms = templates.resources(NESTED["observability"], "AWS::CloudWatch::Alarm")
    by_gateway, by_url = templates.branches(alarms["ApiDuration"]["Properties"]["Threshold"])
    limit_of_url, limit_of_gateway = templates.branches(templates.functions()["ApiFunction"]["Timeout"])
    assert (by_gateway, by_url) == (limit_of_gateway * 800, limit_of_url * 800)


def test_every_dead_letter_queue_has_an_alarm_with_the_command_that_sends_its_messages_back() -> None:
    alarms = templates.resources(NESTED["observability"], "AWS::CloudWatch::Alarm")
    texts = [str(alarm["Properties"]["AlarmDescription"]) for alarm in alarms.values()]
    for queue in templates.resources(NESTED["storage"], "AWS::SQS::Queue"):
        if queue.endswith("DeadLetters"):
            (text,) = [text for text in texts if f"${{{queue}Name}}" in text]
            assert "aws sqs start-message-move-task --source-arn arn:" in text


def test_what_the_functions_measure_raises_alarms() -> None:
    """The metrics of alarms in the library's namespace are those that it sends, by the function that sends them."""
    sent = {
        "api": (ROOT / "layers/afterglow/afterglow/aws_lambda/observability.py").read_text(),
        "maintenance": (ROOT / "functions/maintenance/app.py").read_text(),
    }
    alarms = [
        alarm["Properties"]
        for alarm in templates.resources(NESTED["observability"], "AWS::CloudWatch::Alarm").values()
        if alarm["Properties"].get("Namespace") == "Afterglow"
    ]
    assert len(alarms) == 4
    for alarm in alarms:
        (dimension,) = alarm["Dimensions"]
        assert alarm["MetricName"] in sent[dimension["Value"]["Fn::Sub"].partition("}-")[2]]


def test_a_backlog_raises_an_alarm_before_writes_are_rejected() -> None:
    alarms = templates.resources(NESTED["observability"], "AWS::CloudWatch::Alarm")
    assert alarms["UnflushedOps"]["Properties"]["Threshold"] < AWS_DEFAULTS.max_unflushed_ops
    assert f"{AWS_DEFAULTS.max_unflushed_ops:,}" in alarms["UnflushedOps"]["Properties"]["AlarmDescription"]
    assert alarms["UnflushedBytes"]["Properties"]["Threshold"] < AWS_DEFAULTS.max_memtable_bytes


def test_both_endpoints_allow_the_same_origins_as_the_local_server() -> None:
    (api,) = templates.resources(NESTED["api"], "AWS::ApiGatewayV2::Api").values()
    (url,) = templates.resources(NESTED["url"], "AWS::Lambda::Url").values()
    rules = api["Properties"]["CorsConfiguration"]["Fn::If"][1]
    assert rules == url["Properties"]["Cors"]["Fn::If"][1]
    assert tuple(rules["AllowMethods"]) == cors.METHODS
    assert tuple(rules["ExposeHeaders"]) == cors.EXPOSED_HEADERS
    pattern = re.compile(templates.read(TEMPLATE)["Parameters"]["CorsOrigins"]["AllowedPattern"])
    for text in ("", "*", "https://example.org", "https://example.org:8080,http://localhost:3000", "https://a.org/"):
        try:
            replace(Settings(), cors_allow_origins=text).cors_origins()
        except ValueError:
            assert not pattern.fullmatch(text)
        else:
            assert pattern.fullmatch(text)


def test_a_key_of_the_customer_encrypts_all_that_holds_data() -> None:
    own = {"Ref": "KmsKeyArn"}
    (table,) = templates.resources(NESTED["storage"], "AWS::DynamoDB::Table").values()
    with_key, without = templates.branches(table["Properties"]["SSESpecification"])
    assert with_key == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": own}
    assert without == {"Ref": "AWS::NoValue"}, "the managed key of AWS has the charges of KMS"
    (bucket,) = templates.resources(NESTED["storage"], "AWS::S3::Bucket").values()
    (rule,) = bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert templates.branches(rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"]) == ["aws:kms", "AES256"]
    assert templates.branches(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"])[0] == own
    for queue in templates.resources(NESTED["storage"], "AWS::SQS::Queue").values():
        assert templates.branches(queue["Properties"]["KmsMasterKeyId"])[0] == own
    for role in templates.resources(NESTED["permissions"], "AWS::IAM::Role"):
        (statement,) = [found for found in templates.statements(role) if found["Sid"] == "Key"]
        assert statement["Resource"] == own


def test_an_adopted_table_and_bucket_are_not_created() -> None:
    storage = templates.read(NESTED["storage"])
    for name, condition in (("Table", "CreatesTable"), ("Bucket", "CreatesBucket"), ("BucketPolicy", "CreatesBucket")):
        assert storage["Resources"][name]["Condition"] == condition
    for name in ("Table", "Bucket"):
        for output in (name, f"{name}Arn"):
            created, adopted = templates.branches(storage["Outputs"][output]["Value"])
            assert f"Existing{name}" not in str(created)
            assert f"Existing{name}" in str(adopted)


def test_the_processor_is_chosen_in_one_place() -> None:
    parameters: dict[str, Any] = templates.read(TEMPLATE)["Parameters"]
    makefile = (ROOT / "layers" / "layer.mk").read_text()
    assert f"ARCHITECTURE ?= {parameters['Architecture']['Default']}\n" in makefile
    for properties in templates.functions().values():
        assert properties["Architectures"] == [{"Ref": "Architecture"}]
        assert properties["Runtime"] == "python3.13"
    assert "--python-version 3.13 " in makefile


def test_layers_share_their_build(tmp_path: Path) -> None:
    """`sam build` copies the folder of a layer alone, and what its links lead to."""
    layers = sorted((ROOT / "layers").glob("*/Makefile"))
    assert len(layers) == 4
    for makefile in layers:
        assert (makefile.parent / "layer.mk").samefile(ROOT / "layers" / "layer.mk")
        copy = tmp_path / makefile.parent.name
        copy.mkdir()
        for name in ("Makefile", "layer.mk"):
            shutil.copy2(makefile.parent / name, copy)
        (target,) = re.findall("^build-.*Layer(?=:)", makefile.read_text(), re.MULTILINE)
        command = ["make", "--dry-run", target, f"ARTIFACTS_DIR={tmp_path}"]
        assert str(tmp_path) in subprocess.run(command, cwd=copy, check=True, capture_output=True, text=True).stdout
        refused = subprocess.run(
            [*command, "ARCHITECTURE=sparc"], cwd=copy, check=False, capture_output=True, text=True
        )
        assert "ARCHITECTURE must be arm64 or x86_64, got 'sparc'" in refused.stderr


@pytest.mark.parametrize(("records", "dimension"), [(300, 900), (180, 1_536), (90, 3_072)])
def test_the_batch_sizes_of_the_docs_fit_an_event_as_text(records: int, dimension: int) -> None:
    """Clients that do not know base64 write float32 as Python does; each record has a document of 400 bytes."""
    vectors = np.random.default_rng(dimension).standard_normal((records, dimension), dtype=np.float32) / 30
    body = {
        "ids": [f"record-{number:032}" for number in range(records)],
        "embeddings": vectors.tolist(),
        "metadatas": [{"section": "games", "size": number} for number in range(records)],
        "documents": ["." * 400] * records,
    }
    # Lambda's event has the body as a string, in which quotes are escaped, and the request's headers.
    event = len(json.dumps(json.dumps(body))) + 10_240
    assert 5_500_000 < event < 6 * 1024 * 1024
    text = " ".join((ROOT / "docs" / "compatibility.md").read_text().split())
    said = f"{records} records fit up to {dimension}" if records == 300 else f"{records} for {dimension:,}"
    assert said in text
    assert records != 300 or templates.read(TEMPLATE)["Parameters"]["MaxBatchSize"]["Default"] == records
