"""The command `serve`: candidates over HTTP."""

from mindstream import settings

__all__ = ["serve"]


def serve() -> None:
    """Answer over HTTP until Ctrl-C or SIGTERM."""
    from index.api.server import serve as serve_http  # here, because FastAPI takes a moment to import

    serve_http(settings.load())
