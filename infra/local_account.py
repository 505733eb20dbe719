"""Prepares `sam local invoke`: the storage of the stack in an emulated account, and files that lead functions to it.

Usage: ``local_account.py --endpoint URL --build FOLDER``, with an emulator of AWS (MiniStack, LocalStack) at the URL.
Deploys `infra/storage.yaml` there, unless it is there already, and writes into the folder of `sam build`:

* ``env.json``, the variables of each function;
* ``local.yaml``, the built template with the variable AWS_ENDPOINT_URL: `sam local` passes only variables that a
  template declares, and the deployed one has no use for it.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STACK = "afterglow-local"
_SECONDS = {"VisibilitySeconds": 120, "CompactionVisibilitySeconds": 930, "ImportVisibilitySeconds": 1800}
_PARAMETERS = {"RecoveryDays": 7, "ExistingTable": "", "ExistingBucket": "", "KmsKeyArn": "", **_SECONDS}
_VARIABLES = re.compile(r"^(Globals:\n(?:[ #].*\n)*?( +)Variables:\n)", re.MULTILINE)


def storage(cloudformation: Any) -> dict[str, str]:
    """Create the storage; its outputs. One that is there already stays as it is."""
    stacks = cloudformation.describe_stacks()["Stacks"]
    if STACK not in [stack["StackName"] for stack in stacks]:
        cloudformation.create_stack(
            StackName=STACK,
            TemplateBody=(ROOT / "infra" / "storage.yaml").read_text(),
            Parameters=[{"ParameterKey": name, "ParameterValue": str(value)} for name, value in _PARAMETERS.items()],
        )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def variables(outputs: dict[str, str], endpoint: str) -> dict[str, dict[str, str]]:
    """The contents of env.json: all that a template cannot resolve without a deployment, by function."""
    shared = {
        "AFTERGLOW_TABLE": outputs["Table"],
        "AFTERGLOW_BUCKET": outputs["Bucket"],
        "AFTERGLOW_QUEUE": outputs["Queue"],
        "AFTERGLOW_EMBEDDER": "none",
        "AFTERGLOW_EMBEDDING_FUNCTIONS": "",
        "AWS_ENDPOINT_URL": endpoint,
        "POWERTOOLS_TRACE_DISABLED": "true",
    }
    compaction = {"AFTERGLOW_COMPACTION_QUEUE": outputs["CompactionQueue"]}
    no_embedder = {"AFTERGLOW_EMBEDDING_LAMBDA": ""}
    own = {
        "ApiFunction": {"AFTERGLOW_AUTH": "off", **no_embedder},
        "IndexerFunction": compaction,
        "CompactorFunction": compaction,
        "MaintenanceFunction": {},
        "ImporterFunction": {"AFTERGLOW_IMPORT_QUEUE": outputs["ImportQueue"], **no_embedder},
        "EmbedderFunction": {},
    }
    names = {name: name.removesuffix("Function").lower() for name in own}
    return {
        name: {**shared, "POWERTOOLS_SERVICE_NAME": f"{STACK}-{names[name]}", **given} for name, given in own.items()
    }


def local_template(built: str) -> str:
    """The built template, whose functions may have an endpoint. Raises ValueError."""
    text, count = _VARIABLES.subn(r"\1\2  AWS_ENDPOINT_URL: ''\n", built, count=1)
    if not count:
        raise ValueError("the built template has no variables of all functions")
    return text


def main() -> int:
    """Prepare, and print a command to try; the exit code."""
    import boto3

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--build", type=Path, required=True)
    options = parser.parse_args()
    client = boto3.client("cloudformation", endpoint_url=options.endpoint)
    found = variables(storage(client), options.endpoint)
    template, environment = options.build / "local.yaml", options.build / "env.json"
    template.write_text(local_template((options.build / "template.yaml").read_text()))
    environment.write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(
        f"sam local invoke ApiFunction --template {template} --env-vars {environment} "
        "--docker-network host --event events/api-heartbeat.json\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
