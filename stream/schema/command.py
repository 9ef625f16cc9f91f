"""The command `schema`: what an event, and what the topics look like, for programs of others."""

from typing import Annotated

import msgspec
import typer

from mindstream import settings
from stream.events.event_schema import event_schema
from stream.schema.asyncapi import asyncapi_document

__all__ = ["schema", "written"]


def schema(
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="All topics of these settings instead, as an AsyncAPI document.")
    ] = False,
) -> None:
    """Print the JSON Schema of an event, or the topics as an AsyncAPI document; both are JSON."""
    print(written(asyncapi_document(settings.load()) if asyncapi else event_schema()), end="")


def written(document: dict[str, object]) -> str:
    """Write a document as JSON that people can read, which is YAML too."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
