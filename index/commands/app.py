"""The commands of `mindstream index`: build | query | similar | serve | items."""

import typer

from index.commands import items
from index.commands.build import build
from index.commands.query import query, similar
from index.commands.serve import serve

__all__ = ["app"]

app = typer.Typer(
    help="Build a bundle's index, ask for candidates, serve them, change items at run time: "
    "build | query | similar | serve | items.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(build)
app.command(help="Candidates for one user, what brought each, and what formed each interest.")(query)
app.command(help="Items like another one, as somebody would get them whose only interest points at it.")(similar)
app.command(help="Answer over HTTP until Ctrl-C or SIGTERM, at MINDSTREAM_API_HOST and MINDSTREAM_API_PORT.")(serve)
app.add_typer(items.app, name="items")
