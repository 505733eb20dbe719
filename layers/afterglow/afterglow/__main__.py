"""`python -m afterglow`: the same program as the `afterglow` command."""

from afterglow.cli.main import main

main()
