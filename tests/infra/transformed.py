"""The template as CloudFormation has it after the serverless transform, by SAM's own program (`.venv-sam`)."""

import copy
import json
import os
import subprocess
from typing import Any

from tests.infra import templates
from tests.infra.templates import TEMPLATE
from tests.support.aws import environment
from tests.support.deployment import SAM

PROGRAM = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
given = json.load(sys.stdin)
json.dump(Translator({}, Parser()).translate(given["template"], given["parameters"]), sys.stdout)
"""


def transformed(code: str = "1", layers: str = "1", **parameters: str | int) -> dict[str, Any]:
    """The template with code and layers of a package, whose contents these names stand for."""
    template = copy.deepcopy(templates.read(TEMPLATE))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://package/{resource['Properties']['CodeUri']}{code}"
        elif resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = f"s3://package/{resource['Properties']['ContentUri']}{layers}"
    given = {"template": template, "parameters": {name: str(value) for name, value in parameters.items()}}
    done = subprocess.run(
        [SAM.parent / "python", "-c", PROGRAM],
        input=json.dumps(given),
        env={**os.environ, **environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def resources(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """The resources of one type, by logical name."""
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}
