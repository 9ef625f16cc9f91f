"""The words of event types such as remove_from_cart or pageView."""

import re

__all__ = ["has_words"]


def has_words(event_type: str, phrases: tuple[str, ...]) -> bool:
    """Tell whether an event type has all words of one of some phrases, in upper or lower case."""
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event_type).lower()))
    return any(words.issuperset(phrase.split()) for phrase in phrases)
