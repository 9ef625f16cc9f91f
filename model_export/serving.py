"""What a process serves: made of the current bundle, and made anew in the background when another becomes current."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from model_export.bundle import Bundle, BundleError
from model_export.check import check
from model_export.registry import Registry

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0

Made = TypeVar("Made")


class Serving(Generic[Made]):
    """Follows the registry's pointer.

    A bundle is checked in full before anything is made of it. One that must not be served is refused; what was served
    before goes on.

    Parameters
    ----------
    registry : of published bundles.
    make : what is served of a bundle, such as an Extractor or a Recommender; it should be warm when it is returned.
    refused : told the version and the fault of a bundle that is refused.

    Attributes
    ----------
    current : what is served now. Take it once for each answer or batch: then nothing mixes versions.

    Raises
    ------
    BundleError
        If there is no current bundle yet, or it is not whole.
    """

    def __init__(
        self,
        registry: Registry,
        make: Callable[[Bundle], Made],
        refused: Callable[[str, BundleError], None] = lambda version, error: None,
    ) -> None:
        self.registry, self.make, self.refused = registry, make, refused
        bundle = registry.current()
        self.version = self.looked_at = bundle.version
        self.current = make(bundle)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.follow, name="serving", daemon=True)

    def look(self) -> bool:
        """Look at the pointer once, and take over what it names; whether something new is served."""
        version = self.registry.current_version()
        if version is None or version == self.looked_at:
            return False
        self.looked_at = version
        try:
            bundle = Bundle(self.registry.folder / version)
            check(bundle)
            made = self.make(bundle)
        except BundleError as error:
            log.error("bundle %s is refused, %s goes on: %s", version, self.version, error)
            self.refused(version, error)
            return False
        self.current, self.version = made, version
        log.info("bundle %s is served now", version)
        return True

    def follow(self) -> None:
        while not self.stop.wait(LOOK_EVERY_S):
            self.look()

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
