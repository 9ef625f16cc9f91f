"""New products without retraining: add | load | remove | restore | list | prune."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from index.catalogue.catalogue import Catalogue, Counts
from index.catalogue.item import Item, from_line, to_json
from index.catalogue.open_overlay_store import open_overlay_store
from index.catalogue.overlay import Overlay
from mindstream import settings
from mindstream.counted import counted
from mindstream.files import lines_of
from mindstream.printable import escaped, json_escape, printable
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.last_good import open_last_good

__all__ = ["app"]

app = typer.Typer(help=__doc__, no_args_is_help=True)

AT_A_TIME = 1_000  # items that `load` writes together


@app.command(help="Add an item that the model does not know, or say anew what people are shown of one that it does.")
def add(
    item_id: Annotated[str, typer.Option("--id", help="item_id, as it stands in behaviour events.")],
    title: Annotated[str, typer.Option(help="What people read.")],
    category: Annotated[str, typer.Option(help="The main category.")] = "",
    price: Annotated[float | None, typer.Option(help="A number.")] = None,
    attribute: Annotated[list[str] | None, typer.Option(help="A side feature as name=value; may be repeated.")] = None,
) -> None:
    """Add a new item, or change what people are shown of a known one."""
    with _open_catalogue() as catalogue:
        catalogue.put(Item(item_id, title, category, price, _attributes_of(attribute or [])))
        is_known = item_id in catalogue.bundle.rows
        print(printable(f"{item_id}: {'known to the model, says this now' if is_known else 'new'}"))


@app.command(help="Add the items of a file; where lines are wrong, names them all and adds none.")
def load(
    file: Annotated[
        Path,
        typer.Argument(help="One item a line, as JSON: item_id, title, category, price, attributes, features_vector."),
    ],
) -> None:
    """Add the items of a file; if lines are wrong, name them all and add none."""
    with _open_catalogue() as catalogue:
        good, wrong = _read(file, catalogue)
        if wrong:
            print("\n".join(map(printable, wrong)))
            raise ValueError(f"{file}: {len(wrong):,} of {len(good) + len(wrong):,} lines are no items; none was added")
        for at in tqdm(range(0, len(good), AT_A_TIME), desc="adding", unit="batch", disable=None):
            catalogue.put_many(good[at : at + AT_A_TIME])
        print(f"{counted(len(good), 'item')} added")


@app.command(help="Never recommend items again, whatever later models know, until they are restored or added again.")
def remove(
    item_ids: Annotated[list[str] | None, typer.Argument(help="item_ids; whether a model knows them or not.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of item_ids, one a line.", exists=True)] = None,
) -> None:
    """Remove items."""
    asked = _ids_of(item_ids, file)
    with _open_catalogue() as catalogue:
        found = [catalogue.remove_many(some) for some in _parts(asked, "removing")]
        done, unchanged, unknown = _sums(found)
        if file is None and len(asked) == 1 and done + unchanged:
            was = "removed, though nobody knew it" if unknown else "removed" if done else "was removed already"
            print(printable(f"{asked[0]}: {was}"))
            return
        print(f"{counted(done, 'item')} removed, {unknown:,} of them known to nobody; {unchanged:,} removed before")
        _name_refused(found)


@app.command(help="Undo that items were removed: again what was added last, or what the model's catalogue says.")
def restore(
    item_ids: Annotated[list[str] | None, typer.Argument(help="item_ids, as they were removed.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of item_ids, one a line.", exists=True)] = None,
    every: Annotated[bool, typer.Option("--all", help="All items that are removed.")] = False,
) -> None:
    """Undo that items were removed."""
    if every and (item_ids or file):
        raise ValueError("--all is given with item_ids; right is one of the two")
    with _open_catalogue() as catalogue:
        asked = catalogue.removed() if every else _ids_of(item_ids, file)
        found = [catalogue.restore_many(some) for some in _parts(asked, "restoring")]
        done, unchanged, unknown = _sums(found)
        if not every and file is None and len(asked) == 1 and not found[0].refused:
            now = "is there again" if done else "is there, and was not removed" if unchanged else "is known to nobody"
            print(printable(f"{asked[0]}: {now}"))
            return
        print(f"{counted(done, 'item')} restored, {unchanged:,} not removed before, {unknown:,} known to nobody")
        _name_refused(found)


@app.command(
    "list",
    help="Print what was added, one JSON object a line, as `load` reads it; on stderr what was removed, what no answer "
    "can have and why, and how many there are.",
)
def show(limit: Annotated[int | None, typer.Option(help="Print the first entries only.", min=1)] = None) -> None:
    """Print what was added and removed, as JSON lines; the rest on stderr."""
    with _open_catalogue() as catalogue:
        entries = sorted(catalogue.entries().items())
        for item_id, item in entries[:limit]:
            if item is None:
                typer.echo(printable(f"removed: {item_id}"), err=True)
                continue
            print(escaped(to_json(item).decode(), json_escape))
            if fault := catalogue.current.fault_of(item_id):
                typer.echo(printable(f"in no answer: {fault}"), err=True)
        unreadable = sorted(catalogue.unreadable.items())
        for item_id, why in unreadable[:limit]:
            typer.echo(printable(f"cannot be read: {item_id}: {why}"), err=True)
        typer.echo(_summary(entries, len(unreadable), limit), err=True)


def _summary(entries: list[tuple[str, Item | None]], unreadable: int, limit: int | None) -> str:
    """Write how many entries there are, and whether all of them were printed."""
    removed = sum(item is None for _, item in entries)
    counts = f"{len(entries) - removed:,} added, {removed:,} removed, {unreadable:,} that cannot be read"
    cut = limit is not None and limit < max(len(entries), unreadable)
    return f"{counted(len(entries) + unreadable, 'entry', 'entries')}: {counts}" + (
        f"; --limit {limit} is reached, so not all were printed" if cut else ""
    )


@app.command(help="Drop the entries that change nothing by now, because the current model was trained with the same.")
def prune(
    unreadable: Annotated[bool, typer.Option("--unreadable", help="Drop those that cannot be read, too.")] = False,
) -> None:
    """Drop the entries that change nothing by now."""
    with _open_catalogue() as catalogue:
        gone = catalogue.prune()
        if unreadable and catalogue.overlay is not None:
            gone += catalogue.overlay.drop_unreadable()
        print(f"{counted(gone, 'entry', 'entries')} dropped, {len(catalogue.entries()):,} left")


@contextmanager
def _open_catalogue() -> Iterator[Catalogue]:
    """Open the items of the last good bundle, with the overlay that all processes share."""
    bundle = open_last_good(open_registry(settings.load().published, settings.load().cache))
    with open_overlay_store(settings.load()) as overlay_store:
        yield Catalogue(bundle, Overlay(overlay_store, settings.load().item_days))


def _ids_of(item_ids: list[str] | None, file: Path | None) -> list[str]:
    """Return the ids that were given, or those in the lines of a file.

    Raises
    ------
    ValueError
        If there are none, or both are given.
    """
    if bool(item_ids) == (file is not None):
        raise ValueError("right are item_ids, or --file with a file that has one a line")
    if file is None:
        return item_ids or []
    lines = enumerate(lines_of(file, "a file of item_ids"), 1)
    return [item_id for number, line in lines if (item_id := _text_of(line, file, number))]


def _text_of(line: bytes, file: Path, number: int) -> str:
    """Return a line as text, without its end."""
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"line {number:,} of {file} is no UTF-8: {line[:60]!r}; nothing was changed") from None


def _parts(item_ids: list[str], doing: str) -> Iterator[list[str]]:
    """Cut ids into as many as are written together."""
    for at in tqdm(range(0, len(item_ids), AT_A_TIME), desc=doing, unit="batch", disable=None):
        yield item_ids[at : at + AT_A_TIME]


def _sums(found: list[Counts]) -> tuple[int, int, int]:
    """Return how many items were changed, unchanged and unknown in all parts."""
    return sum(one.done for one in found), sum(one.unchanged for one in found), sum(one.unknown for one in found)


def _name_refused(found: list[Counts]) -> None:
    """Name the ids that no item can have, and why.

    They make the command fail, after it did the others.

    Raises
    ------
    ValueError
        If there are any.
    """
    refused = [f"{item_id[:50]!r}: {why}" for one in found for item_id, why in one.refused.items()]
    if refused:
        print("\n".join(map(printable, refused)))
        raise ValueError(f"{counted(len(refused), 'id')} left out, since no item can be called so")


def _read(file: Path, catalogue: Catalogue) -> tuple[list[Item], list[str]]:
    """Read the items of a file, and what is wrong with its other lines; skip empty ones."""
    good, wrong = [], []
    lines = lines_of(file, "a file of JSON lines, one item a line")
    for number, line in enumerate(tqdm(lines, desc="reading", unit="line", disable=None), start=1):
        if line.strip():
            try:
                item = from_line(line)
                catalogue.check(item)
                good.append(item)
            except ValueError as error:
                wrong.append(f"line {number}: {error}")
    return good, wrong


def _attributes_of(said: list[str]) -> dict[str, list[str]]:
    """Read attribute -> values from texts like "brand=acme".

    Raises
    ------
    ValueError
        If a text has another form.
    """
    found: dict[str, list[str]] = {}
    for one in said:
        name, is_there, value = one.partition("=")
        if not (name and is_there and value):
            raise ValueError(f"--attribute is {one!r}; right is name=value")
        found.setdefault(name, []).append(value)
    return found
