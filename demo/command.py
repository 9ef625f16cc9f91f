"""Prepare a model if there is none, then show the demo in a browser."""

import hashlib
import os
import re
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from demo.engine.paths import is_prepared
from mindstream import settings

APP = Path(__file__).with_name("app.py")

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def main(
    log: Annotated[
        Path | None,
        typer.Option(help="Interaction log to show instead of the simulated shop; it gets a model of its own."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the page.", min=1, max=65535)] = 8501,
    address: Annotated[str, typer.Option(help="Address the page is served at.")] = "localhost",
    only_prepare: Annotated[bool, typer.Option(help="Stop when the model is there.")] = False,
) -> None:
    """Prepare a model if there is none, then show the demo in a browser."""
    chosen = settings.load() if log is None else for_log(log)
    if not is_prepared(chosen):
        from demo.engine.prepare import prepare  # here: it takes seconds to import

        prepare(chosen)
    if only_prepare:
        return
    require_free(address, port)
    home = chosen.home.resolve()
    print(f"the demo's home is {home}; other commands meet it with MINDSTREAM_HOME={home}")
    print(f"the page is at http://{address}:{port}; Ctrl-C stops it", flush=True)
    environment = {**os.environ, **as_environment(chosen)}
    command = [sys.executable, "-m", "demo.serve", "run", str(APP)]
    command += ["--server.port", str(port), "--server.address", address, "--server.fileWatcherType", "none"]
    os.execvpe(command[0], command, environment)  # Ctrl-C then goes to Streamlit itself


def require_free(address: str, port: int) -> None:
    """Raise OSError if nobody can listen.

    Streamlit would say so later, when the page is promised already.
    """
    try:
        socket.create_server((address, port)).close()
    except OSError as error:
        raise OSError(
            f"the page cannot be served at port {port} of {address} ({error.strerror}); "
            "is another demo running? `mindstream demo --port` takes another one"
        ) from error


def for_log(log: Path) -> settings.Settings:
    """Return settings with a home of their own for a log.

    Its model does not replace the shop's.
    """
    if not log.exists():
        raise FileNotFoundError(f"there is no log at {log}")
    path = log.resolve()
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    digest = hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()
    home = settings.load().home / "logs" / f"{slug}-{digest}"
    return settings.load().model_copy(update={"log": path, "home": home})


def as_environment(chosen: settings.Settings) -> dict[str, str]:
    """Return what the page's process has to know."""
    known = {"MINDSTREAM_HOME": str(chosen.home), "MINDSTREAM_LOG": str(chosen.log or "")}
    return {name: value for name, value in known.items() if value}
