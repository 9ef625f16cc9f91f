"""The way to traces: where none are wanted, nothing of OpenTelemetry is imported."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mindstream.settings import Settings

if TYPE_CHECKING:
    from mindstream.tracing.tracing import Tracing

__all__ = ["open_tracing"]


@contextmanager
def open_tracing(settings: Settings, process: str) -> "Iterator[Tracing | None]":
    """Yield what writes traces while the block lasts, None where MINDSTREAM_TRACES is empty.

    What is written goes out from a thread of its own. Nobody waits for the collector: what it does not take in time is
    dropped, and OpenTelemetry's own log says so.

    Parameters
    ----------
    process : what the service is called behind `mindstream-`, such as updater.

    Raises
    ------
    ModuleNotFoundError
        If the extra `tracing` is not installed.
    """
    if not settings.traces:
        yield None
        return
    from mindstream.tracing.tracing import provider_to, tracing_of

    provider = provider_to(settings.traces, f"mindstream-{process}")
    try:
        yield tracing_of(provider)
    finally:
        provider.shutdown()
