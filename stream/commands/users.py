"""The commands of one user: `show` what is kept of them, and `forget`, which asks to delete it."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mindstream import settings
from mindstream.printable import json_line, printable
from stream.events.event import decode
from stream.events.producer import EventProducer
from stream.kafka.connect import reachable_cluster
from stream.store.interests import ExplainedInterest, interests_of
from stream.store.open_store import open_store
from stream.store.state import UserState

__all__ = ["app", "as_bytes"]

EXIT_NOTHING_KEPT = 1
MOST_BEHAVIOURS = 5  # of an interest, in what people read

app = typer.Typer()


@app.command()
def forget(
    users: Annotated[list[str], typer.Argument(metavar="USER", help="user_ids; after -- they may begin with a -.")],
) -> None:
    """Ask that everything known of these users be deleted.

    That is history, interests, profile and unwanted items.

    The updater does it once it reads that. Events and dead letters stay on
    their topics as long as Kafka keeps them.
    """
    for user in users:  # all of them first, so that a wrong one leaves nothing half done
        decode(None, as_bytes(user))
    topic = settings.load().topic
    with EventProducer(reachable_cluster(), topic) as producer:
        for user in users:
            producer.forget(user)
        producer.flush()
    print(f"asked on {topic} to forget {len(users):,} user{'s' * (len(users) != 1)}")


@app.command()
def show(
    user: Annotated[str, typer.Argument(help="user_id; after -- it may begin with a -.")],
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show history, interests, unwanted items, profile and last applied event of a user."""
    as_bytes(user)
    with open_store(settings.load()) as store:
        [state] = store.get_many([user])
    if state is None or state.is_empty:
        print(printable(_nothing_kept(user, state)), file=sys.stderr)
        raise typer.Exit(EXIT_NOTHING_KEPT)
    print(json_line(_as_json(state)) if in_json else _as_text(state))


def as_bytes(text: str, field: str = "user_id") -> bytes:
    """Return a user_id, or another field of an event, in UTF-8.

    Records are UTF-8; a command line may be otherwise.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is no {field}: it is not UTF-8") from None


def _nothing_kept(user: str, state: UserState | None) -> str:
    """Say why nothing is kept of a user."""
    if state is None:
        return f"user {user!r} is not known"
    return f"user {user!r} was forgotten at {_iso(state.forgotten_ms)}; nothing has come since"


def _as_json(state: UserState) -> dict[str, Any]:
    """Return a state as `show --json` prints it.

    The capsules are the vectors of the interests.
    """
    history = state.history
    behaviours = zip(history.event_times_ms, history.item_ids, history.event_ids, strict=True)
    return {
        "user_id": state.user_id,
        "history": [{"time": _iso(time), "item_id": item, "event_id": name or None} for time, item, name in behaviours],
        "interests": [
            {
                "importance": one.importance,
                "vector": vector,
                "behaviours": [{"item_id": made_by.item_id, "weight": made_by.weight} for made_by in one.behaviours],
            }
            for one, vector in zip(interests_of(state), state.capsules.vectors.tolist(), strict=True)
        ],
        "unwanted": list(state.unwanted),
        "profile": state.profile,
        "position": _place_of(state),
        "model_version": state.capsules.model_version,
    }


def _as_text(state: UserState) -> str:
    """Write a state for people to read."""
    history, interests = state.history, interests_of(state)
    profile = ", ".join(f"{name}={value}" for name, value in sorted(state.profile.items()))
    lines = [
        f"user      {state.user_id}",
        f"profile   {profile or 'not known'}",
        f"position  {_place_of(state)}",
        f"model     {state.capsules.model_version}",
        f"history   {len(history.item_ids)} kept, the last one last: time, item_id, event_id",
        *(
            f"  {_iso(time)}  {item}  {name}".rstrip()
            for time, item, name in zip(history.event_times_ms, history.item_ids, history.event_ids, strict=True)
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
