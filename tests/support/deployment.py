"""The template on MiniStack, which enforces IAM: built, deployed, and called as its clients call it.

MiniStack speaks TLS, as the bucket's policy asks for, with a certificate of its own.
"""

import os
import platform
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import uuid4

import boto3
from botocore.config import Config

from afterglow.auth import Role
from afterglow.auth.api_keys import Keys
from afterglow.settings import System
from afterglow.storage.aws.clients import Clients
from afterglow.storage.aws.table import DynamoTable
from tests.support.aws import REGION
from tests.support.aws import environment as credentials
from tests.support.ministack import MiniStack
from tests.support.server import HOST

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

ROOT = Path(__file__).resolve().parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
"""Of this machine: the functions run on it."""

ACCOUNT = "000000000000"
"""Requests to an API, which nobody signs, go to this one."""


_CLIENTS: dict[tuple[str, str], Any] = {}


def client(aws: MiniStack, service: str) -> Any:
    """A boto3 client for any service, as the account's root. Closed by `close_clients`."""
    known = _CLIENTS.get((aws.url, service))
    if known is not None:
        return known
    made = _CLIENTS[aws.url, service] = boto3.client(
        service,  # type: ignore[call-overload]  # the stubs know three services
        endpoint_url=aws.url,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="secret",
        region_name=REGION,
        verify=str(aws.certificate),
        config=Config(retries={"max_attempts": 2, "mode": "standard"}, read_timeout=900),
    )
    return made


def close_clients(aws: MiniStack) -> None:
    """Let go of the connections to this one."""
    for url, service in list(_CLIENTS):
        if url == aws.url:
            _CLIENTS.pop((url, service)).close()


def sam(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None, seconds: float = 600) -> str:
    """Run SAM's command line, knowing nothing of the caller's account; what it printed. Raises AssertionError."""
    passed = {name: os.environ[name] for name in os.environ if not name.startswith(("AWS_", "AFTERGLOW_", "SAM_"))}
    done = subprocess.run(
        [str(SAM), *arguments],
        cwd=folder,
        env={
            **passed,
            "PATH": f"{SAM.parent}{os.pathsep}{os.environ['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
            "__SAM_CLI_APP_DIR": str(folder / "sam"),
            **credentials(),
            **(environment or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"sam {' '.join(arguments)}:\n{done.stdout[-8000:]}"
    return done.stdout


def built(folder: Path, architecture: str = ARCHITECTURE) -> Path:
    """`sam build` of the template into `folder`; the folder with a subfolder for each function and layer."""
    into = folder / "build"
    sam(
        *("build", "--template", str(ROOT / "template.yaml"), "--config-file", str(ROOT / "samconfig.toml")),
        *("--build-dir", str(into), "--parameter-overrides", f"Architecture={architecture}"),
        folder=folder,
        environment={"ARCHITECTURE": architecture},
    )
    return into


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed stack: its outputs by name."""

    aws: MiniStack
    name: str
    outputs: Mapping[str, str]

    @property
    def headers(self) -> dict[str, str]:
        """What makes MiniStack answer for this API, since its name is in no DNS."""
        return {"Host": self.outputs["Endpoint"].removeprefix("https://")}

    def key(self) -> str:
        """A new API key for everything, made as the account's root."""
        clients = Clients()
        with mock.patch.dict("os.environ", self.aws.environment(ACCOUNT)):
            made, _ = Keys(DynamoTable(clients, self.outputs["Table"]), System()).create(Role.ADMIN, None)
        clients.forget_credentials()
        return made

    @contextmanager
    def client(self) -> "Iterator[ClientAPI]":
        """The stock client, whose connections are closed here as it does not close them itself."""
        import chromadb
        from chromadb.config import Settings

        with mock.patch.dict("os.environ", {"SSL_CERT_FILE": str(self.aws.certificate)}):
            client: Any = chromadb.HttpClient(
                host=HOST,
                port=self.aws.server.port,
                ssl=True,
                headers={**self.headers, "X-Chroma-Token": self.key()},
                settings=Settings(anonymized_telemetry=False),
            )
        sessions = [api._server._session for api in (client, client._admin_client)]
        try:
            yield client
        finally:
            client.close()
            for session in sessions:
                session.close()

    def status(self, path: str) -> int:
        """The status of a plain GET."""
        try:
            self.body(path)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        return 200

    def body(self, path: str) -> bytes:
        """The body of the response to a plain GET. Raises HTTPError."""
        trusted = ssl.create_default_context(cafile=str(self.aws.certificate))
        request = urllib.request.Request(self.aws.url + path, headers=self.headers)
        with urllib.request.urlopen(request, timeout=60, context=trusted) as answer:
            return bytes(answer.read())

    def resources(self, stack: str | None = None) -> dict[str, str]:
        """Physical names by path of logical names, nested stacks included, as in `Storage/Table`."""
        found = {}
        pages = client(self.aws, "cloudformation").get_paginator("list_stack_resources")
        for page in pages.paginate(StackName=stack or self.name):
            for resource in page["StackResourceSummaries"]:
                name, physical = resource["LogicalResourceId"], resource["PhysicalResourceId"]
                found[name] = physical
                if resource["ResourceType"] == "AWS::CloudFormation::Stack":
                    nested = self.resources(physical)
                    found.update({f"{name}/{inner}": value for inner, value in nested.items()})
        return found


def deployed(aws: MiniStack, build: Path, name: str, **parameters: str | int) -> Deployment:
    """`sam deploy` of what was built."""
    given = {"Architecture": ARCHITECTURE, **parameters}
    sam(
        *("deploy", "--template", str(build / "template.yaml"), "--config-file", str(ROOT / "samconfig.toml")),
        *("--stack-name", name, "--no-progressbar"),
        *("--parameter-overrides", " ".join(f"{key}={value}" for key, value in given.items())),
        folder=build.parent,
        environment=aws.environment(ACCOUNT),
    )
    return described(aws, name)


def stack_of(package: Deployment, name: str, **parameters: str | int) -> Deployment:
    """Another stack of a deployment's template and code, or the same one with other parameters; all others by default.

    The last step of `sam deploy`, a change set: the code is in the account's bucket since the deployment, so nothing is
    compressed and sent again, which takes most of the time.
    """
    stacks = client(package.aws, "cloudformation")
    template = stacks.get_template(StackName=package.name, TemplateStage="Original")["TemplateBody"]
    created = name not in {stack["StackName"] for stack in stacks.describe_stacks()["Stacks"]}
    given = {"Architecture": ARCHITECTURE, **parameters}
    made = stacks.create_change_set(
        StackName=name,
        ChangeSetName=f"change-{uuid4()}",
        ChangeSetType="CREATE" if created else "UPDATE",
        TemplateBody=template,
        Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in given.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    stacks.get_waiter("change_set_create_complete").wait(ChangeSetName=made["Id"], WaiterConfig={"Delay": 1})
    stacks.execute_change_set(ChangeSetName=made["Id"])
    finished = stacks.get_waiter("stack_create_complete" if created else "stack_update_complete")
    finished.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    return described(package.aws, name)


def described(aws: MiniStack, name: str) -> Deployment:
    """A stack that is deployed."""
    _mend_numbers(aws)
    stack = client(aws, "cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return Deployment(aws, name, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]})


def _mend_numbers(aws: MiniStack) -> None:
    """MiniStack keeps the number of a template's parameter as text, and then stumbles over it with each look at queues.

    It does not for queues in order, of which it works on one batch at a time in any case.
    """
    functions = client(aws, "lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        most = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        if most is not None:
            functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(most)})
