"""A start that needs a decision: an archive of events, and a topic that is new to it."""

from stream.archive.archive import Archive

__all__ = ["check_first_archive"]


def check_first_archive(archive: Archive, life: str, start_ms: int | None) -> None:
    """Refuse to go on with a topic whose events the archive may have from another one.

    After a move to another cluster the same events have other offsets, so they would be archived once more. That a
    topic is to be read from its beginning is said once, be it empty until then.

    Parameters
    ----------
    life : identity of the topic as it is now.
    start_ms : where to begin it, where that was said.

    Raises
    ------
    ValueError
        If the archive holds other topics' events only, and it was not said where to begin.
    """
    known = archive.state().progress
    if start_ms == 0:
        archive.note_life(life)
    if known and life not in known and start_ms is None:
        raise ValueError(
            f"the archive {archive.path} holds another topic of the name {archive.topic} (another cluster, or an "
            "earlier life of it); if that is meant, say where to begin: `--start-at beginning`, or a time such as "
            "`--start-at 2026-01-31T12:00:00Z`; events that the archive has already would be in it twice"
        )
