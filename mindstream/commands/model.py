"""Logs: describe; models: simulate | train | evaluate | export; bundles: check | publish | list | ...; retrain."""

import typer

from mindstream.commands import retrain
from model_export.commands import bundles, describe, models

__all__ = ["app"]

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
for part in (describe.app, models.app, bundles.app, retrain.app):
    app.add_typer(part)
