"""The frame of every command line: errors become one sentence, Ctrl-C ends cleanly, logs are text or JSON."""

from mindstream.starting import ctrl_c  # noqa: F401  # first: until it is there, Ctrl-C is a traceback

# isort: split
import faulthandler
import logging
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from io import UnsupportedOperation
from typing import Any

from mindstream.repeats import Repeats

__all__ = ["run", "say_where_it_dies", "set_up_logs", "stop_on_signals"]

EXIT_ABORTED = 1
EXIT_ERROR = 2
KINDS = {"int_parsing": "a whole number", "int_from_float": "a whole number", "float_parsing": "a number"}
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

log = logging.getLogger("console")


def run(app: Callable[..., object]) -> None:
    """Run a Typer app and end the process; print expected errors as one sentence on stderr.

    Parameters
    ----------
    app : called with standalone_mode=False; what it returns is the exit status, if it is a number.
    """
    import typer

    say_where_it_dies()
    as_json = _wants_json()
    set_up_logs(as_json)
    _warn_of_misspelt_variables()
    fail = log.error if as_json else _print_error
    try:
        status = app(standalone_mode=False)  # 130 after Ctrl-C
    except typer.TyperException as error:
        if said := _wrong_call(error):  # a group that is called without a command has printed its help
            fail(_printable(said))
        sys.exit(EXIT_ERROR)
    except typer.Abort:
        fail("aborted")
        sys.exit(EXIT_ABORTED)
    except ModuleNotFoundError as error:  # torch, where only what serving needs was installed
        fail(_who_brings(error.name or str(error)))
        sys.exit(EXIT_ERROR)
    except (ValueError, OSError) as error:
        fail(_printable(str(error)))
        sys.exit(EXIT_ERROR)
    sys.exit(status if isinstance(status, int) else 0)


def _wrong_call(error: Any) -> str:
    """Say what is wrong with a command line, what would be right, and where to look.

    Typer's own sentence lacks the value where Pydantic has refused it.
    """
    said = str(error.format_message()).rstrip(". ")
    param, refused = getattr(error, "param", None), getattr(error.__cause__, "errors", None)
    if param is not None and error.message:
        option = param.get_error_hint().replace("'", "")
        said = f"{option}: {error.message.rstrip('. ')}"
        if refused is not None:
            [wrong, *_] = refused()
            said = f"{option} is {wrong['input']}; {_right(wrong)}"
    context = getattr(error, "ctx", None)
    return f"{said}; see `{context.command_path} --help`" if said and context is not None else said


def _right(wrong: dict[str, Any]) -> str:
    """Say what would be right in place of what Pydantic refused."""
    if wrong["type"] in KINDS:
        return f"it must be {KINDS[wrong['type']]}"
    return str(wrong["msg"]).removeprefix("Value error, ").replace("Input should be", "it must be").rstrip(".")


# What stands in the way -> for what it is needed, and the extra that brings it.
_EXTRA_OF = {
    **dict.fromkeys(("onnx", "onnxscript", "scipy", "torch"), ("training", "train")),
    "opentelemetry": ("MINDSTREAM_TRACES", "tracing"),
    "streamlit": ("the page of the demo", "demo"),
}


def _who_brings(module: str) -> str:
    """Say what brings a module that is missing: an extra, or a whole installation."""
    top = module.split(".")[0]
    if top not in _EXTRA_OF:
        return (
            f"{module} is not installed, and every whole installation has it: the images `updater` and `api` hold only "
            "what serving opens, so take the image `train`, or install Mindstream again: `uv tool install .`"
        )
    wanted_by, extra = _EXTRA_OF[top]
    return (
        f"{module} is not installed; {wanted_by} needs the extra `{extra}`: `uv tool install '.[{extra}]'`, "
        "or in a checkout remove .venv and run `make setup`"
    )


def say_where_it_dies() -> None:
    """Have a process that dies of SIGBUS, SIGSEGV or their like say so on stderr.

    It says what its threads did, too. A memory-mapped file that is cut short while it is read kills without a word
    otherwise.
    """
    if sys.stderr is not None:
        with suppress(UnsupportedOperation):  # stderr is no file, as in a notebook
            faulthandler.enable()


def stop_on_signals() -> threading.Event:
    """Make an event that is set by SIGTERM and Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _printable(text: str) -> str:
    r"""Escape control characters (as \x00), which a binary file brings into a sentence."""
    return "".join(repr(one)[1:-1] if not one.isprintable() and one not in "\n\t" else one for one in text)


def _wants_json() -> bool:
    """Tell whether logs are JSON.

    A wrong variable is reported by the command that reads it, as text.
    """
    from mindstream import settings

    try:
        return settings.load().log_format == "json"
    except ValueError:
        return False


def _warn_of_misspelt_variables() -> None:
    """Warn of what is set and has no effect."""
    from mindstream import settings

    for said in settings.misspelt():
        logging.getLogger(settings.__name__).warning(said)


def set_up_logs(as_json: bool) -> None:
    """Log to stderr: errors of all, and what our own rooms say."""
    handler = logging.StreamHandler()
    handler.addFilter(Repeats("kafka"))  # hundreds of lines a minute while a broker is away
    handler.setFormatter(_json_lines() if as_json else logging.Formatter(TEXT))
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    for room in (
        "demo",
        "index",
        "mindstream",
        "model_export",
        "stream",
    ):  # kafka-python warns at every reconnect; ours say enough
        logging.getLogger(room).setLevel(logging.INFO)


def _json_lines() -> logging.Formatter:
    """Make a formatter that writes one JSON object a line.

    Its fields are time (ISO 8601, UTC), level, logger, message, and those given as `extra`.
    """
    from pythonjsonlogger.json import JsonFormatter

    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
        json_ensure_ascii=False,
    )


def _print_error(sentence: str) -> None:
    """Print the last line of a program that failed."""
    print(f"error: {sentence}", file=sys.stderr)
