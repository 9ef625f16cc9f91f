"""Prepare a model if there is none, then show the demo in a browser."""

import hashlib
import importlib.util
import os
import re
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from demo.engine.paths import is_prepared
from demo.engine.prepared import changes, files_of, forget_users, mark_stopped, stamp_of, write_stamp
from mindstream import settings
from mindstream.log_options import takes_log
from mindstream.mapping import Mapping

APP = Path(__file__).with_name("app.py")

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
@takes_log
def main(
    mapping: Mapping,
    log: Annotated[
        str | None,
        typer.Option(help="Interaction log to show instead of the simulated shop; it gets a model of its own."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Most minutes that the model is trained.", min=0.01, max=10_000, show_default="by the size"),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the page.", min=1, max=65535)] = 8501,
    address: Annotated[str, typer.Option(help="Address the page is served at.")] = "localhost",
    only_prepare: Annotated[bool, typer.Option(help="Stop when the model is there.")] = False,
) -> None:
    """Prepare a model if there is none, then show the demo in a browser."""
    if not only_prepare:
        require_page()  # first: a training would be for nothing
    chosen = settings.load() if log is None else for_log(log)
    if log is None and not is_prepared(chosen):
        _prepare(chosen, None, mapping, minutes)
    if log is not None:
        _prepare_log(chosen, log, mapping, minutes)
    if not only_prepare:
        require_free(address, port)
    home = chosen.home.resolve()
    print(f"the demo's home is {home}; other commands meet it with MINDSTREAM_HOME={home}")
    if only_prepare:
        return
    print(f"the page is at http://{address}:{port}; Ctrl-C stops it", flush=True)
    environment = {**os.environ, **as_environment(chosen)}
    command = [sys.executable, "-m", "demo.serve", "run", str(APP)]
    command += ["--server.port", str(port), "--server.address", address, "--server.fileWatcherType", "none"]
    # After each look of each page Streamlit would collect all garbage of the process, which takes a tenth of a second.
    command += ["--runner.postScriptGC", "false"]
    os.execvpe(command[0], command, environment)  # Ctrl-C then goes to Streamlit itself


def _prepare(chosen: settings.Settings, log: str | None, mapping: Mapping, minutes: float | None) -> None:
    """Prepare a model."""
    from demo.engine.prepare import prepare  # here: it takes seconds to import

    prepare(chosen, log, mapping, minutes)


def _prepare_log(chosen: settings.Settings, log: str, mapping: Mapping, minutes: float | None) -> None:
    """Prepare a model of a log, unless there is one of the same log, read in the same way."""
    stamp = stamp_of(log, mapping.given, str(chosen.rule), minutes)
    why = changes(chosen, stamp)
    if why == []:
        print(f"the model of {log} is there from before, as is the log; it is shown as it is")
        return
    if why:
        print(f"{log} is prepared anew: {'; '.join(why)}")
        forget_users(chosen)
    try:
        _prepare(chosen, log, mapping, minutes)
    except KeyboardInterrupt:
        if why:
            mark_stopped(chosen)
        raise
    write_stamp(chosen, stamp)  # last: a preparation that was stopped begins anew


def require_page() -> None:
    """Raise ModuleNotFoundError if streamlit, which the page is made with, is not installed."""
    if importlib.util.find_spec("streamlit") is None:
        raise ModuleNotFoundError("streamlit is not installed", name="streamlit")


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


def for_log(log: str | Path) -> settings.Settings:
    """Return settings with a home of their own for a log.

    Its model does not replace the shop's.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path, and it is no address of an object store.
    """
    if "://" not in str(log) and not any(files_of(str(log))):
        raise FileNotFoundError(f"there is no log at {log}")
    path = Path(log).resolve()
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    digest = hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()
    home = settings.load().home / "logs" / f"{slug}-{digest}"
    return settings.load().model_copy(update={"log": path, "home": home, "bundles": ""})


def as_environment(chosen: settings.Settings) -> dict[str, str]:
    """Return what the page's process has to know."""
    known = {"MINDSTREAM_HOME": str(chosen.home), "MINDSTREAM_LOG": str(chosen.log or "")}
    if chosen.bundles != settings.load().bundles:  # a log's model is in its own home
        return {**known, "MINDSTREAM_BUNDLES": chosen.bundles}
    return {name: value for name, value in known.items() if value}
