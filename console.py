"""What every command line here shares: errors become one sentence, Ctrl-C ends cleanly."""

import logging
import sys
from collections.abc import Callable

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def run(app: Callable[..., object]) -> None:
    """Run a Typer app; print expected errors as a sentence on stderr instead of a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)  # it warns at every reconnect; ours are the ones to read
    try:
        app(standalone_mode=False)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
