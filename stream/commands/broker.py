"""The command `broker`: the embedded broker as a process of its own."""

from mindstream import settings
from mindstream.console import stop_on_signals
from stream.kafka.embedded_broker import EmbeddedBroker

__all__ = ["broker"]


def broker() -> None:
    """Run the embedded broker for other processes, until Ctrl-C or SIGTERM."""
    stop = stop_on_signals()
    with EmbeddedBroker(settings.load().state) as embedded:
        print(f"embedded broker at {embedded.cluster.bootstrap_servers}; Ctrl-C stops it", flush=True)
        while not stop.wait(3600):
            pass
