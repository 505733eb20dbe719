"""Options that several commands share, and what they name: settings, data directories, open stores."""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterglow.cli.console import EXIT_USAGE, exit_with, notice
from afterglow.errors import NotFound
from afterglow.settings import AWS_DEFAULTS, LOCAL_DEFAULTS, Resolved, Settings, System, resolve

if TYPE_CHECKING:
    from afterglow.storage.ports import Stores

DEFAULT_TENANT = "default_tenant"
DEFAULT_DATABASE = "default_database"
EXISTING_DIRECTORY = "Data directory; without it AFTERGLOW_PATH, which is ./data by default."
NEW_DIRECTORY = "Data directory, created if missing; without it AFTERGLOW_PATH, which is ./data by default."


class HelpFormatter(argparse.HelpFormatter):
    """Appends the default of an option to its help text, unless the option has none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        is_option = bool(action.option_strings)
        return f"{text} (default: {action.default})" if text and is_option and has_default(action) else text


def has_default(action: argparse.Action) -> bool:
    """Whether the default of an argument is a value: not None, False or an empty list."""
    return action.default is not argparse.SUPPRESS and bool(action.default)


def add_directory(parser: argparse.ArgumentParser, text: str = EXISTING_DIRECTORY) -> None:
    """Adds --path and --config, for commands that work on a data directory only."""
    parser.add_argument("--path", type=parse_path, help=text)
    add_settings_file(parser)


def add_deployment(parser: argparse.ArgumentParser, text: str = EXISTING_DIRECTORY) -> None:
    """Adds --path and --aws, of which at most one may be used, and --config."""
    _add_deployment_group(parser, text)


def add_endpoint(parser: argparse.ArgumentParser, text: str = EXISTING_DIRECTORY) -> None:
    """Adds --path, --aws and --url, of which at most one may be used, and --config."""
    _add_deployment_group(parser, text).add_argument(
        "--url", help="Use a running server instead of a directory; AFTERGLOW_API_KEY is sent to it."
    )


def _add_deployment_group(parser: argparse.ArgumentParser, text: str) -> "argparse._MutuallyExclusiveGroup":
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--path", type=parse_path, help=text)
    group.add_argument(
        "--aws",
        action="store_true",
        help="Use an AWS account instead of a directory: the DynamoDB table AFTERGLOW_TABLE and the S3 bucket "
        "AFTERGLOW_BUCKET.",
    )
    add_settings_file(parser)
    return group


def add_settings_file(parser: argparse.ArgumentParser) -> None:
    """Adds --config."""
    parser.add_argument(
        "--config",
        type=parse_path,
        metavar="FILE",
        help="Settings file: TOML with the names of settings, or Chroma's YAML; without it AFTERGLOW_CONFIG.",
    )


def add_database(parser: argparse.ArgumentParser) -> None:
    """Adds --tenant and --database."""
    parser.add_argument("--tenant", default=DEFAULT_TENANT, help="Tenant of the collection.")
    parser.add_argument("--database", default=DEFAULT_DATABASE, help="Database of the collection.")


def int_between(low: int, high: int) -> Callable[[str], int]:
    """An argument type: an integer from `low` to `high`, both included."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{number} is not between {low} and {high}")
        return number

    return parse


def parse_where_option(text: str) -> dict[str, Any]:
    """The filter of `--where`, as the API takes it; ends the process if it is not an object."""
    parsed = parse_json_option("--where", text)
    if not isinstance(parsed, dict):
        exit_with("--where must be an object", EXIT_USAGE)
    return parsed


def parse_json_option(option: str, text: str) -> object:
    """The value of an option in JSON; ends the process if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        exit_with(f"{option} is not JSON: {error}", EXIT_USAGE)
    except RecursionError:
        exit_with(f"{option} is nested too deep", EXIT_USAGE)


def load_settings(*, aws: bool) -> Settings:
    """The effective settings; exits with 2 if one is invalid, and warns of what is ignored."""
    return resolve_settings(aws=aws).settings


def resolve_settings(*, aws: bool) -> Resolved:
    """The same as `load_settings`, with the source of each value."""
    try:
        resolved = resolve(defaults=AWS_DEFAULTS if aws else LOCAL_DEFAULTS)
    except ValueError as error:
        exit_with(str(error), EXIT_USAGE)
    for message in resolved.messages:
        notice(f"warning: {message}")
    return resolved


def parse_location(text: str) -> str:
    """A path or URL. Raises ArgumentTypeError for an empty one: that of an unset variable, by mistake."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; `.` is the working directory")
    return text


def parse_path(text: str) -> Path:
    """A path. Raises ArgumentTypeError for an empty one."""
    return Path(parse_location(text))


def directory(args: argparse.Namespace, settings: Settings) -> Path:
    """The absolute path of the data directory; ends the process if the setting is empty."""
    if args.path is None and not settings.path:
        exit_with("AFTERGLOW_PATH is empty; `.` is the working directory", EXIT_USAGE)
    return (args.path or Path(settings.path)).absolute()


def data_path(args: argparse.Namespace, settings: Settings) -> Path | None:
    """The absolute path of the data directory, None for the AWS account."""
    return None if args.aws else directory(args, settings)


def ensure_directory(path: Path) -> Path:
    """The absolute path, created if missing; exits with 1 if it cannot hold data."""
    try:
        path = path.expanduser().absolute()
    except RuntimeError:
        exit_with(f"{path}: there is no such home directory")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        exit_with(f"{path}: not a directory")
    except OSError as error:
        exit_with(f"{path}: cannot be created: {(error.strerror or str(error)).lower()}")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        exit_with(f"{path}: no permission to read and write there")
    return path


def existing_data_path(args: argparse.Namespace, settings: Settings) -> Path | None:
    """The same as `data_path`. Raises NotFound if the path is not a data directory."""
    from afterglow.deployment.local import require_data_directory

    path = data_path(args, settings)
    return path and require_data_directory(path)


def collection_not_found(args: argparse.Namespace) -> NotFound:
    """The error for a collection that the database does not have."""
    return NotFound(f"no collection {args.collection!r} in database {args.database!r} of tenant {args.tenant!r}")


@contextmanager
def open_existing(args: argparse.Namespace, *, notify: bool = False) -> "Iterator[Stores]":
    """Opens the stores of an existing data directory or of the AWS account.

    With `notify`, writes notify an indexer that runs elsewhere. Raises NotFound, Corrupt, StorageFull, Unavailable,
    InvalidArgument.
    """
    from afterglow.deployment.open import open_stores

    settings = load_settings(aws=args.aws)
    path = existing_data_path(args, settings)
    with open_stores(path, settings, System(), notify=notify) as stores:
        yield stores
