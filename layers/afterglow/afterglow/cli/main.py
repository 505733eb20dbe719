"""The `afterglow` command. Each command imports what it needs when it runs, so that `--help` answers at once."""

from pathlib import Path
from typing import Annotated

import typer

from afterglow import __version__
from afterglow.cli.failures import one_line, settings

app = typer.Typer(
    name="afterglow",
    help="A vector database that speaks the Chroma API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The program: runs the command that the arguments name."""
    app(prog_name="afterglow")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"afterglow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


@app.command()
def run(
    path: Annotated[Path, typer.Option(help="Directory that holds the data; made if it is not there.")] = Path("data"),
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network of this machine.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that serve; one per core is plenty.")] = 1,
    allow_reset: Annotated[
        bool, typer.Option("--allow-reset", help="Let clients delete everything by the reset call.")
    ] = False,
) -> None:
    """Serve the Chroma API from one directory, until Ctrl-C."""
    from afterglow.cli.run import run as serve

    with one_line():
        serve(path, host, port, workers=workers, allow_reset=allow_reset)


@app.command()
def compact(
    collection: Annotated[
        str | None, typer.Argument(show_default=False, help="Name or id of one collection; all of them without it.")
    ] = None,
    path: Annotated[Path, typer.Option(help="Directory that holds the data.")] = Path("data"),
    tenant: Annotated[str, typer.Option(help="Tenant of the collection named.")] = "default_tenant",
    database: Annotated[str, typer.Option(help="Database of the collection named.")] = "default_database",
) -> None:
    """Index what is not indexed yet and give the space of deleted records back, now instead of in the background."""
    from afterglow.cli.compact import compact as work

    with one_line():
        work(path.absolute(), settings(), collection, tenant, database)


@app.command()
def demo(
    url: Annotated[
        str | None, typer.Option(show_default=False, help="A server to use; without it, one is started for the demo.")
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option(show_default=False, help="Directory for the started server's data; a temporary one without it."),
    ] = None,
) -> None:
    """Load 2,000 Debian packages, ask a few questions, plain and filtered, and print the answers."""
    from afterglow.cli.demo import demo as show

    with one_line():
        show(url, path)
