"""The command line of the stream, composed of its commands."""

import typer

from stream.commands import dead_letters, offsets, repair, store, sweep, users
from stream.commands.archive import archive
from stream.commands.broker import broker
from stream.commands.owner import owner
from stream.commands.produce import produce, replay
from stream.commands.run import run
from stream.schema.command import schema

__all__ = ["app"]

HELP = (
    "Keep interest capsules fresh: run | archive | produce | replay | broker | schema; "
    "ask and mend: show | export | forget | sweep | repair | owner | dlq | offsets; "
    "the whole store: migrate | export-store | import-store."
)

app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
for command in (run, archive, produce, replay, broker, owner, schema):
    app.command()(command)
app.add_typer(users.app)
app.add_typer(sweep.app)
app.add_typer(repair.app)
app.add_typer(store.app)
app.add_typer(dead_letters.app, name="dlq")
app.add_typer(offsets.app, name="offsets")
