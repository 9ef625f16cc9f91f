"""Streamlit's own command, in a process that starts the engine meanwhile: both take seconds.

`python -m demo` runs it. `streamlit run demo/app.py` shows the same page; its engine starts at the first look.
"""

import threading
from contextlib import suppress

from streamlit.web import cli

from demo.engine_keeper import engine_keeper
from mindstream.console import say_where_it_dies


def _start_engine() -> None:
    """Start the engine; what is wrong, if anything, the page finds out for itself, and says."""
    with suppress(OSError, ValueError):
        engine_keeper().engine()


if __name__ == "__main__":
    say_where_it_dies()
    threading.Thread(target=_start_engine, name="engine", daemon=True).start()
    cli.main(prog_name="streamlit")
