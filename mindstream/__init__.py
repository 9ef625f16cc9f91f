"""Mindstream keeps every user's interests fresh; this is the one name to import.

    from mindstream import Recommender, Registry, Request, Settings, open_store

Everything named here loads when it is first used, and none of it needs torch, which is for training only.
"""

TYPE_CHECKING = False  # what type checkers take as true; typing takes a while to import, and Ctrl-C is a traceback then

if TYPE_CHECKING:
    from index.recommend.recommender import Candidates, Recommender
    from index.recommend.request import Request
    from mindstream.settings import Settings
    from model_export.bundle.bundle import Bundle
    from model_export.bundle.extractor import Extractor
    from model_export.bundle.homes.open_registry import open_registry
    from model_export.bundle.registry import Registry
    from model_export.bundle.serving import Serving
    from stream.events.event import Event
    from stream.events.producer import EventProducer
    from stream.store.open_store import open_store
    from stream.updater.updater import Updater

    __version__: str

__all__ = [
    "Bundle",
    "Candidates",
    "Event",
    "EventProducer",
    "Extractor",
    "Recommender",
    "Registry",
    "Request",
    "Serving",
    "Settings",
    "Updater",
    "__version__",
    "open_registry",
    "open_store",
]

_HOMES = {
    "Bundle": "model_export.bundle.bundle",
    "Candidates": "index.recommend.recommender",
    "Event": "stream.events.event",
    "EventProducer": "stream.events.producer",
    "Extractor": "model_export.bundle.extractor",
    "Recommender": "index.recommend.recommender",
    "Registry": "model_export.bundle.registry",
    "Request": "index.recommend.request",
    "Serving": "model_export.bundle.serving",
    "Settings": "mindstream.settings",
    "Updater": "stream.updater.updater",
    "open_registry": "model_export.bundle.homes.open_registry",
    "open_store": "stream.store.open_store",
}


if not TYPE_CHECKING:  # type checkers read the imports above: to them a misspelt name is an error

    def __getattr__(name: str) -> object:
        """Load a public name from the room that it lives in (PEP 562)."""
        # Imports stand where they are needed: `from mindstream import console` asks here for that name first, and until
        # it is there, Ctrl-C is a traceback.
        if name == "__version__":
            from importlib.metadata import version

            return version("mindstream")
        if name not in _HOMES:
            raise AttributeError(f"module 'mindstream' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names, which are not loaded before they are used."""
    return sorted({*globals(), *__all__})
