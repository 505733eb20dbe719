"""Checks before a deployment what the account and the region allow, and prints the parameter ConcurrencyThreshold.

Usage: ``check_account.py [Name=value …] [--region REGION] [--profile PROFILE]`` with the parameters of the deployment
and the options of `sam deploy`, of which it ignores the others. What the stack needs and the account lacks goes to
standard error. Exit code 1 if the API would have no concurrency left, so that it could not respond.

A new account has 10 concurrent executions and functions of at most 3,008 MB; both limits rise on request, at no charge.
Lambda reports the first one only: an account that has no more of it is taken for a new one.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NEW_ACCOUNT_CONCURRENCY = 10
NEW_ACCOUNT_MEMORY = 3008
MAINTENANCE = 1
API_MINIMUM = 3
_ALARM_PERCENT = 80
_TEMPLATE = Path(__file__).resolve().parents[1] / "template.yaml"
_NUMBER = re.compile(r"^  (\w+):\n    Type: Number\n    Default: (\d+)$", re.MULTILINE)
_QUOTA = "Ask for a higher quota of concurrent executions: Service Quotas, AWS Lambda."


def parameters(given: Sequence[str]) -> dict[str, int]:
    """The numeric parameters of the template, as they are given or by default."""
    values = {name: int(default) for name, default in _NUMBER.findall(_TEMPLATE.read_text())}
    for name, _, value in (argument.partition("=") for argument in given):
        if name in values:
            values[name] = int(value)
    return values


def problems(values: Mapping[str, int], concurrency: int) -> tuple[list[str], bool]:
    """What the account lacks for these parameters, and whether the API could respond all the same."""
    found = []
    functions = {name: value for name, value in values.items() if name.endswith("Concurrency")}
    background = sum(functions.values()) + MAINTENANCE
    if concurrency - background < API_MINIMUM:
        listed = ", ".join(f"{name} {value}" for name, value in functions.items())
        found.append(
            f"the account allows {concurrency} concurrent executions, of which background work may use {background} "
            f"({listed}, maintenance {MAINTENANCE}): {max(0, concurrency - background)} are left for the API, "
            f"which should have {API_MINIMUM} or more. {_QUOTA}"
        )
    large = [name for name, value in values.items() if name.endswith("Memory") and value > NEW_ACCOUNT_MEMORY]
    if large and concurrency <= NEW_ACCOUNT_CONCURRENCY:
        found.append(
            f"a new account allows functions of at most {NEW_ACCOUNT_MEMORY} MB, but {', '.join(large)} "
            f"{'is' if len(large) == 1 else 'are'} larger. {_QUOTA} AWS raises both."
        )
    return found, concurrency > background


def main() -> int:
    """Check the account of the environment's credentials; the exit code."""
    import boto3

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--region", "--profile"):
        parser.add_argument(option)
    options, given = parser.parse_known_args()
    session = boto3.Session(region_name=options.region, profile_name=options.profile)
    limits = session.client("lambda").get_account_settings()["AccountLimit"]
    concurrency = int(limits["ConcurrentExecutions"])
    found, is_possible = problems(parameters(given), concurrency)
    for problem in found:
        sys.stderr.write(f"{'warning' if is_possible else 'error'}: {problem}\n")
    sys.stdout.write(f"ConcurrencyThreshold={concurrency * _ALARM_PERCENT // 100}\n")
    return 0 if is_possible else 1


if __name__ == "__main__":
    sys.exit(main())
