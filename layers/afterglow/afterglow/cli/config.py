"""`afterglow config show`: the effective settings, and where each value comes from."""

import argparse
import json
from dataclasses import fields

from afterglow.cli import options
from afterglow.cli.console import print_table
from afterglow.settings import Settings


def add_show_options(parser: argparse.ArgumentParser) -> None:
    """The options of `config show`."""
    parser.add_argument("--aws", action="store_true", help="Show the settings of commands with --aws.")
    options.add_settings_file(parser)


def show(args: argparse.Namespace) -> None:
    """Show every setting with its value and where it comes from: a variable, the settings file, or the default."""
    resolved = options.resolve_settings(aws=args.aws)
    rows = []
    for setting in fields(Settings):
        value = getattr(resolved.settings, setting.name)
        is_secret = value and not setting.repr
        shown = "(set)" if is_secret else json.dumps(value, ensure_ascii=False)
        rows.append((setting.name, shown, resolved.sources.get(setting.name, "default")))
    print_table(("SETTING", "VALUE", "SOURCE"), rows)
