"""The commands of one user: `show` and `export` what is kept of them, and `forget`, which asks to delete it."""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from msgspec.structs import astuple

from mindstream import settings
from mindstream.counted import counted
from mindstream.printable import json_line, printable
from model_export.bundle.bundle import BundleError
from model_export.bundle.extractor import Extractor
from model_export.bundle.homes.open_registry import open_registry
from model_export.bundle.registry import Registry
from stream.dead_letters.letter import Letter, to_line
from stream.dead_letters.of_users import letters_of, owners_of
from stream.events.decoders import RecordDecoder, decoder_of
from stream.events.event import LONGEST_USER_ID
from stream.events.producer import EventProducer
from stream.kafka.connect import reachable_cluster
from stream.store.interests import ExplainedInterest, interests_of
from stream.store.open_store import open_store
from stream.store.state import UserState, encoded, recomputed

__all__ = ["app", "as_bytes"]

EXIT_NOTHING_KEPT = 1
MOST_BEHAVIOURS = 5  # of an interest, in what people read

Letters = Annotated[
    bool,
    typer.Option("--letters/--no-letters", help="Look for dead letters of theirs too, which reads all that there are."),
]

app = typer.Typer()


@app.command()
def forget(
    users: Annotated[list[str], typer.Argument(metavar="USER", help="user_ids; after -- they may begin with a -.")],
    letters: Letters = True,
) -> None:
    """Ask that everything known of these users be deleted.

    That is history, interests, profile and unwanted items.

    The updater does it once it reads that. Events and dead letters stay on
    their topics as long as Kafka keeps them; the dead letters are named here.
    """
    for user in users:  # all of them first, so that a wrong one leaves nothing half done
        _check_user_id(user)
    configured, cluster = settings.load(), reachable_cluster()
    with EventProducer(cluster, configured.topic) as producer:
        for user in users:
            producer.forget(user)
        producer.flush()
    print(f"asked on {configured.topic} to forget {counted(len(users), 'user')}")
    if letters:
        decoder = decoder_of(configured)
        found = letters_of(cluster, configured.dead_letter_topic, users, decoder)
        _name_letters(found, configured.dead_letter_topic, decoder)


def _name_letters(letters: Iterable[Letter], topic: str, decoder: RecordDecoder) -> None:
    """Say which dead letters there are, one a line."""
    for number, letter in enumerate(letters):
        if not number:
            print(f"their dead letters stay on {topic} as long as Kafka keeps them:")
        owners = ", ".join(sorted(owners_of(letter, decoder)))
        print(printable(f"  {letter.place}  {letter.reason or 'unknown'}  {owners}"))


@app.command()
def export(
    user: Annotated[str, typer.Argument(help="user_id; after -- it may begin with a -.")],
    letters: Letters = True,
) -> None:
    """Print everything that is kept of a user as JSON, as for a request for access.

    That is what `show --json` says, every item that was refused, when the user
    was forgotten, and the dead letters that name the user. Events stay on
    their topic as long as Kafka keeps them, and are not part of it.
    """
    as_bytes(user)
    configured = settings.load()
    with open_store(configured, read_only=True) as store:
        [state] = store.get_many([user])
    registry = open_registry(configured.published, configured.cache)
    kept = _everything(user, _explained(state, registry) if state else None)
    if letters:
        found = letters_of(reachable_cluster(), configured.dead_letter_topic, [user], decoder_of(configured))
        kept["dead_letters"] = [json.loads(to_line(letter)) for letter in found]
    print(json_line(kept))
    if (state is None or state.is_empty) and not kept.get("dead_letters"):
        print(printable(_nothing_kept(user, state)), file=sys.stderr)
        raise typer.Exit(EXIT_NOTHING_KEPT)


@app.command()
def show(
    user: Annotated[str, typer.Argument(help="user_id; after -- it may begin with a -.")],
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show history, interests, unwanted items, profile and last applied event of a user."""
    as_bytes(user)
    with open_store(settings.load(), read_only=True) as store:
        [state] = store.get_many([user])
    if state is None or state.is_empty:
        print(printable(_nothing_kept(user, state)), file=sys.stderr)
        raise typer.Exit(EXIT_NOTHING_KEPT)
    shown = _explained(state, open_registry(settings.load().published, settings.load().cache))
    print(json_line(_as_json(shown)) if in_json else _as_text(shown))


@dataclass(frozen=True)
class _Shown:
    """A state with its interests explained.

    Attributes
    ----------
    state : as stored; with capsules of the current model where the one that made the stored ones is not there any more.
    """

    state: UserState
    interests: list[ExplainedInterest]


def _explained(state: UserState, registry: Registry) -> _Shown:
    """Explain the interests in a state by the model that made them.

    If that is gone, by the current one, which is said.
    """
    version = state.capsules.model_version
    if not len(state.capsules.vectors):
        return _Shown(state, [])
    try:
        return _Shown(state, interests_of([state], Extractor(registry.open(version)))[0])
    except BundleError as error:
        gone = f"the stored capsules are of model {version}, which cannot be used: {error}"
    try:
        extractor = Extractor(registry.current())
    except BundleError as error:
        print(printable(f"{gone}; what formed the interests is not known: {error}"), file=sys.stderr)
        return _Shown(state, [ExplainedInterest(share, []) for share in state.capsules.importance.tolist()])
    print(printable(f"{gone}; shown is what the current one makes of the history"), file=sys.stderr)
    state = recomputed(state, encoded(extractor, [state])[0])
    return _Shown(state, interests_of([state], extractor)[0])


def as_bytes(text: str, field: str = "user_id") -> bytes:
    """Return a user_id, or another field of an event, in UTF-8.

    Records are UTF-8; a command line may be otherwise.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is no {field}: it is not UTF-8") from None


def _check_user_id(text: str) -> None:
    """Raise ValueError if no event can have a user_id of a command line."""
    as_bytes(text)
    if not 1 <= len(text) <= LONGEST_USER_ID:
        said = f"{text[:50]!r} ({counted(len(text), 'character')})"
        raise ValueError(f"USER is {said}, which no event can have; right is 1 to {LONGEST_USER_ID} characters")


def _nothing_kept(user: str, state: UserState | None) -> str:
    """Say why nothing is kept of a user."""
    if state is None:
        return f"user {user!r} is not known"
    return f"user {user!r} was forgotten at {_iso(state.forgotten_ms)}; nothing has come since"


def _as_json(shown: _Shown) -> dict[str, Any]:
    """Return a state as `show --json` prints it.

    The capsules are the vectors of the interests.
    """
    state, history = shown.state, shown.state.history
    behaviours = zip(*astuple(history), strict=True)
    return {
        "user_id": state.user_id,
        "history": [
            {"time": _iso(time), "item_id": item, "event_id": name or None, "event_type": event_type or None}
            for item, time, name, event_type in behaviours
        ],
        "interests": [
            {
                "importance": one.importance,
                "vector": vector,
                "behaviours": [{"item_id": made_by.item_id, "weight": made_by.weight} for made_by in one.behaviours],
            }
            for one, vector in zip(shown.interests, state.capsules.vectors.tolist(), strict=True)
        ],
        "unwanted": list(state.unwanted),
        "profile": state.profile,
        "position": _place_of(state),
        "model_version": state.capsules.model_version,
    }


def _everything(user_id: str, shown: _Shown | None) -> dict[str, Any]:
    """Return all that a store keeps of a user, as `export` prints it."""
    kept: dict[str, Any] = {"user_id": user_id, "exported": _iso(int(time.time() * 1000))}
    if shown is None:
        return kept | {
            "forgotten": None,
            "history": [],
            "interests": [],
            "feedback": [],
            "profile": {},
            "position": None,
        }
    state = shown.state
    return kept | {
        "forgotten": _iso_or_none(state.forgotten_ms),
        **_as_json(shown),
        "feedback": [
            {
                "item_id": one.item_id,
                "refused": _iso_or_none(one.rejected_ms),
                "refused_by": one.rejected_id or None,
                "wanted_again": _iso_or_none(one.wanted_ms),
                "wanted_by": one.wanted_id or None,
            }
            for one in state.feedback.items
        ],
        "profile_time": _iso_or_none(state.profile_time_ms),
    }


def _as_text(shown: _Shown) -> str:
    """Write a state for people to read."""
    state, history, interests = shown.state, shown.state.history, shown.interests
    profile = ", ".join(f"{name}={value}" for name, value in sorted(state.profile.items()))
    lines = [
        f"user      {state.user_id}",
        f"profile   {profile or 'not known'}",
        f"position  {_place_of(state)}",
        f"model     {state.capsules.model_version}",
        f"history   {len(history.item_ids)} kept, the last one last: time, item_id, event_type, event_id",
        *(
            f"  {_iso(time)}  {item}  {event_type or '?'}  {name}".rstrip()
            for item, time, name, event_type in zip(*astuple(history), strict=True)
        ),
        f"interests {len(interests)}: share of the behaviours, the strongest of them with their weight",
        *(f"  {_describe(one)}" for one in interests),
        f"unwanted  {len(state.unwanted)} kept out of what is recommended, the last one last",
        *(f"  {item}" for item in state.unwanted),
    ]
    return "\n".join(map(printable, lines))


def _describe(interest: ExplainedInterest) -> str:
    """Write one interest in one line."""
    strongest = ", ".join(f"{one.item_id} ({one.weight:.2f})" for one in interest.behaviours[:MOST_BEHAVIOURS])
    return f"{100 * interest.importance:3.0f} %  {strongest}"


def _place_of(state: UserState) -> str:
    """Say where the last applied event stands: topic life, partition and offset."""
    return f"{state.position.topic_life}/{state.position.partition}@{state.position.offset}"


def _iso(time_ms: int) -> str:
    """Write a time in ISO 8601, UTC, to the millisecond."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _iso_or_none(time_ms: int) -> str | None:
    """Write a time as `_iso` does; None for 0, which stands for never."""
    return _iso(time_ms) if time_ms else None
