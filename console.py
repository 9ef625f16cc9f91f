"""What every command line here shares: errors become one sentence, Ctrl-C ends cleanly."""

import logging
import sys
from collections.abc import Callable

EXIT_ERROR = 2


def run(app: Callable[..., object]) -> None:
    """Run a Typer app; print expected errors as a sentence on stderr instead of a traceback."""
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for room in ("demo", "index", "model_export", "stream"):  # kafka-python warns at every reconnect; ours say enough
        logging.getLogger(room).setLevel(logging.INFO)
    try:
        app()  # Typer ends the process: 2 where it was called wrongly, 130 after Ctrl-C
    except ModuleNotFoundError as error:  # torch, where only what serving needs was installed
        print(f"error: {error.name} is not installed; remove .venv and run `make setup`", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
