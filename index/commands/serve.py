"""The command `serve`: candidates over HTTP."""

from typing import Annotated

import typer

from mindstream import settings

__all__ = ["serve"]


def serve(
    workers: Annotated[
        int | None, typer.Option(help="Processes that serve the port, as MINDSTREAM_API_WORKERS.", min=1, max=256)
    ] = None,
) -> None:
    """Answer over HTTP until Ctrl-C or SIGTERM."""
    from index.api.server import serve as serve_http  # here, because FastAPI takes a moment to import

    known = settings.load()
    serve_http(known if workers is None else known.model_copy(update={"api_workers": workers}))
