"""Command line: `nbtasks`, or `python -m nbtasks`."""

from __future__ import annotations

import sys

import typer

from nbtasks.cli import control, maintain, serve, show
from nbtasks.cli.options import Home, use
from nbtasks.errors import NbtasksError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Durable notebook cells: inspect their runs, control them, maintain the home, see a demo.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line. An error that the user can fix is one line on stderr, without a
    traceback, and exit status 2."""
    try:
        app()
    except NbtasksError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)


@app.callback()
def _options(home: Home = None) -> None:
    use(home)


for _module in (show, control, serve, maintain):
    _module.register(app)
