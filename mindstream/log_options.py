"""The options of commands that take a log: which column is which, and how its files are to be read."""

import glob
import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer

from mindstream.mapping import Mapping, load_mapping

__all__ = ["LogPath", "is_missing", "must_be_there", "takes_log"]

PANEL = "How the log is to be read"
PARAMETER = "mapping"


def is_missing(path: str | Path) -> bool:
    """Tell whether a path or glob leads to nothing; of an address nothing is known."""
    text = str(path)
    return "://" not in text and not Path(text).exists() and not glob.glob(text, recursive=True)


def must_be_there(path: Any) -> Any:
    """Return the path or glob of a log, as Typer's callback.

    Raises
    ------
    typer.BadParameter
        If there is nothing; Typer adds the option that it was given to.
    """
    if path is not None and is_missing(path):
        raise typer.BadParameter(f"no file or folder at {path}")
    return path


LogPath = Annotated[
    str,
    typer.Argument(
        help="Interaction log: a file, a folder of parts, a glob, or the address of an object store.",
        callback=must_be_there,
    ),
]


def takes_log(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a mapping in the place of its parameter `mapping`.

    `--mapping FILE` reads them from a TOML file; what is given beside it comes first.
    """
    options = _options()

    @wraps(command)
    def with_options(*positional: Any, **named: Any) -> Any:
        given = signature.bind(*positional, **named).arguments
        chosen = {name: given.pop(name, None) for name in options}
        file = chosen.pop(PARAMETER)
        return command(**given, mapping=load_mapping(file, **chosen))

    own = inspect.signature(command).parameters
    hints = get_type_hints(command, include_extras=True)
    others = [parameter.replace(annotation=hints[name]) for name, parameter in own.items() if name != PARAMETER]
    signature = inspect.Signature([*others, *options.values()])
    with_options.__signature__ = signature  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    del with_options.__wrapped__
    return with_options


def _options() -> dict[str, inspect.Parameter]:
    """Return the options by name: the TOML file, and one for each field of a mapping."""
    file = Annotated[
        Path | None, typer.Option("--mapping", help="TOML file with these options.", rich_help_panel=PANEL, exists=True)
    ]
    found = {PARAMETER: _option(PARAMETER, file)}
    for name, field in Mapping.model_fields.items():
        kind: Any = str | None if name == "columns" else field.annotation
        kind = _plain(kind)
        if name == "untimed":
            kind = bool | None
        elif type(None) not in getattr(kind, "__args__", ()):
            kind = kind | None
        flag = "--" + name.replace("_", "-")
        text = f"{(field.description or '')[0].upper()}{(field.description or '')[1:]}."
        hint = Annotated[kind, typer.Option(flag, help=text, rich_help_panel=PANEL, show_default=False)]
        found[name] = _option(name, hint)
    return found


def _plain(kind: Any) -> Any:
    """Return a type without conditions of its values, which would be shown as its name."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_plain(one) for one in get_args(kind))]  # noqa: UP007
    return kind


def _option(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
