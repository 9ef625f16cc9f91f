"""One engine for all tabs of a process; one that cannot start, or has broken down, is started again when asked for."""

import atexit
import threading
from functools import cache

from demo.engine.engine import Engine
from mindstream import settings
from mindstream.settings import Settings

__all__ = ["EngineKeeper", "engine_keeper"]


@cache
def engine_keeper() -> "EngineKeeper":
    """Return the keeper of this process's engine; it ends with the process."""
    made = EngineKeeper(settings.load())
    atexit.register(made.close)
    return made


class EngineKeeper:
    """Keeps an engine running."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.running: Engine | None = None
        self.lock = threading.Lock()

    def engine(self) -> Engine:
        """Return the running engine, or a new one if there is none or it is broken.

        Raises
        ------
        OSError, BundleError
            If it cannot start; what is asked for later is tried again.
        """
        with self.lock:
            if self.running is not None and self.running.is_broken():
                self.close()
            if self.running is None:
                self.running = Engine(self.settings)
            return self.running

    def close(self) -> None:
        """Stop what runs."""
        if self.running is not None:
            running, self.running = self.running, None
            running.close()
