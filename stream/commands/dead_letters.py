"""The commands `dlq list` and `dlq redrive`: dead letters, the records that are no events."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from mindstream import settings
from mindstream.counted import counted
from mindstream.files import check_readable, lines_of
from mindstream.printable import printable
from stream.dead_letters.letter import Letter, from_line, to_line
from stream.dead_letters.redrive import Redrive
from stream.dead_letters.topic_reader import DeadLetterTopic
from stream.events.decoders import decoder_of
from stream.events.event import REASONS
from stream.events.producer import EventProducer
from stream.kafka.cluster import Cluster
from stream.kafka.connect import reachable_cluster

__all__ = ["app"]

EXIT_STILL_WRONG = 1
RIGHT = "a file with lines of `mindstream stream dlq list --json`, or - for stdin"

HELP = "Dead letters, the records that are no events: list | redrive."

app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("list")
def list_letters(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for `dlq redrive`.")] = False,
    limit: Annotated[int | None, typer.Option(help="Show the first letters only.", min=1)] = None,
    reason: Annotated[str, typer.Option(help=f"Only these: {', '.join(REASONS)}.")] = "",
) -> None:
    """List every dead letter on the topic: where it came from and what is wrong.

    Where a record was read again, from offsets of before or after a crash,
    its later letters are marked as copies.
    """
    if reason not in ("", *REASONS):
        raise ValueError(f"--reason is {reason!r}; right is one of {', '.join(REASONS)}")
    reasons: Counter[str] = Counter()
    copies, first = 0, dict[tuple[str, int | None], str]()  # record -> its first letter
    with _on_the_topic(reachable_cluster()) as letters:
        for letter in letters:
            if reason not in ("", letter.reason):
                continue
            place = first.setdefault(letter.record, letter.place)
            copy_of = place if place != letter.place else None
            print(to_line(letter, copy_of) if as_json else _text_of(letter, copy_of))
            reasons[letter.reason or "unknown"] += 1
            copies += copy_of is not None
            if reasons.total() == limit:
                break
    if not as_json and reasons:
        by_reason = ", ".join(f"{count:,} {printable(one)}" for one, count in reasons.most_common())
        again = f"; {copies:,} of them copies: their records were read again" if copies else ""
        more = f"; --limit {limit} is reached, so there may be more" if reasons.total() == limit else ""
        print(f"{counted(reasons.total(), 'dead letter')}: {by_reason}{again}{more}")


@contextmanager
def _on_the_topic(cluster: Cluster) -> Iterator[Iterable[Letter]]:
    """Yield the letters of the configured topic.

    On a terminal there is a progress bar if that takes long.
    """
    topic = settings.load().dead_letter_topic
    with DeadLetterTopic(cluster, topic) as found:
        if not found.bounds:
            print(f"there is no topic {topic}; updaters make it when they start", file=sys.stderr)
        elif not len(found):
            print(f"no dead letters on {topic}", file=sys.stderr)
        quiet = not sys.stderr.isatty() or sys.stdout.isatty()  # letters on the same terminal show how far it is
        with tqdm(found, desc="reading", unit="letter", delay=1, leave=False, disable=quiet) as bar:
            yield bar


def _text_of(letter: Letter, copy_of: str | None) -> str:
    """Write a letter in one line for people."""
    copy = f"  (copy of {copy_of})" if copy_of else ""
    cut = f"  (the beginning of {letter.truncated:,} bytes)" if letter.truncated is not None else ""
    return printable(f"{letter.source or letter.place}  {letter.reason or 'unknown'}  {letter.error}{cut}{copy}")


@app.command("redrive")
def redrive_letters(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Lines of `dlq list --json`, key or value mended; - is stdin.")
    ] = None,
) -> None:
    """Send mended letters back, or without FILE all that are events by today's rules.

    Each record is sent once, however many letters there are of it. Doing it
    again is harmless: the updater knows the events by their event_id, which
    is the source position where they had none. With FILE the exit status is 1
    where a line is still wrong; the others are sent all the same.
    """
    if file is not None and str(file) != "-":
        check_readable(file, RIGHT)
    cluster = reachable_cluster()
    chosen = settings.load()
    with EventProducer(cluster, chosen.topic, chosen.event_bytes, decoder_of(chosen)) as producer:
        redrive = Redrive(producer)
        try:
            wrong = _redrive_lines(redrive, file) if file else _redrive_topic(redrive, cluster)
        finally:
            producer.flush()
        sent = counted(len(redrive.sent), "event")
        print(f"sent {sent} to {producer.topic}; {counted(wrong, 'dead letter')} still wrong")
        if wrong and not file:
            print("`dlq list` says what is wrong with each; `dlq list --json` gives lines to mend, for FILE")
    if file and wrong:
        raise typer.Exit(EXIT_STILL_WRONG)


def _redrive_topic(redrive: Redrive, cluster: Cluster) -> int:
    """Send every letter that is an event; return how many records are none.

    A record is none where none of its letters is one.
    """
    wrong = set()
    with _on_the_topic(cluster) as letters:
        for letter in letters:
            try:
                redrive.send(letter)
            except ValueError:
                wrong.add(letter.record)
    return len(wrong - redrive.sent)


def _redrive_lines(redrive: Redrive, file: Path) -> int:
    """Send what the lines of a file hold; return how many are still wrong, and say which."""
    wrong = 0
    for number, line in enumerate(lines_of(file, RIGHT), start=1):
        if not line.strip():
            continue
        try:
            if not redrive.send(letter := from_line(line)):
                _say(file, number, f"{letter.source} stands in a line above; not sent again")
        except ValueError as error:
            wrong += 1
            _say(file, number, str(error))
    return wrong


def _say(file: Path, number: int, what: str) -> None:
    """Say on stderr what became of a line."""
    print(printable(f"{'stdin' if str(file) == '-' else file}, line {number}: {what}"), file=sys.stderr)
