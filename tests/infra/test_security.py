"""The templates against checkov's rules of security, and the exceptions from them, each with its reason.

checkov runs in an environment of its own (`make .venv-checkov/.ready`) and without the network.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra.templates import ALL, ROOT

CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
CONFIG = ROOT / ".checkov.yaml"
NOWHERE = "http://127.0.0.1:9"

EXCEPTION = re.compile(r"# checkov:skip=(CKV\w+):(.+)")
PUBLIC_BUCKET = """
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      AccessControl: PublicRead
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHECKOV.is_file(), reason="checkov is not installed: make .venv-checkov/.ready"),
]


def _checked(*paths: Path) -> dict[str, Any]:
    """What checkov reports of these templates, with the exceptions of the whole stack."""
    files = [argument for path in paths for argument in ("--file", str(path))]
    done = subprocess.run(
        [str(CHECKOV), "--config-file", str(CONFIG), "--output", "json", *files],
        cwd=ROOT,
        env={**os.environ, "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_no_rule_is_broken_but_for_a_reason(tmp_path: Path) -> None:
    (tmp_path / "open.yaml").write_text(PUBLIC_BUCKET)
    found = _checked(*ALL, tmp_path / "open.yaml")
    assert found["summary"]["parsing_errors"] == 0
    failed = [(check["check_id"], check["file_abs_path"]) for check in found["results"]["failed_checks"]]
    assert ("CKV_AWS_20", str(tmp_path / "open.yaml")) in failed, "checkov finds nothing at all"
    assert [check for check in failed if check[1] != str(tmp_path / "open.yaml")] == []
    # An exception for a rule or a resource that is no longer there would stay unnoticed.
    used = [check["check_id"] for check in found["results"]["skipped_checks"]]
    written = [rule for path in ALL for rule, reason in EXCEPTION.findall(path.read_text()) if reason.strip()]
    assert sorted(used) == sorted(written)
