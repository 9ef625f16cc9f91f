"""The object that a process serves: made of the current bundle, and made anew when another becomes current."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from model_export.bundle.bundle import Bundle, BundleError
from model_export.bundle.check.child import check_in_child
from model_export.bundle.homes.folder import file_stamps
from model_export.bundle.homes.home import FileStamps
from model_export.bundle.last_good import last_good
from model_export.bundle.manifest_schema import is_version
from model_export.bundle.registry import POINTER, Registry

__all__ = ["AnyServing", "FixedServing", "Serving"]

log = logging.getLogger(__name__)

TRY_AGAIN_S = 30.0
KEPT_CHECKS = 8  # versions that are known to be good

Made = TypeVar("Made")
MadeOut = TypeVar("MadeOut", covariant=True)


class AnyServing(Protocol[MadeOut]):
    """Something that is made of a bundle and served, by a Serving or a FixedServing."""

    @property
    def current(self) -> MadeOut:
        """Return what is served now. Take it once for each answer or batch."""
        ...

    @property
    def version(self) -> str:
        """Return the version of the bundle that it is made of."""
        ...

    @property
    def is_fixed(self) -> bool:
        """Return whether it stays the same for ever; else the registry's pointer is followed."""
        ...

    @property
    def trouble(self) -> str | None:
        """Return a sentence if the pointer names a bundle that must not be served."""
        ...


class FixedServing(Generic[Made]):
    """An `AnyServing` of one bundle, which is taken as it is and never changes.

    Parameters
    ----------
    make : what is served of the bundle, such as an Extractor.
    """

    is_fixed = True
    trouble = None

    def __init__(self, bundle: Bundle, make: Callable[[Bundle], Made]) -> None:
        self.current, self.version = make(bundle), bundle.version


@dataclass(frozen=True)
class _RefusedBundle:
    """A version that must not be served, its fault, and its files at that time.

    The version is "" if the pointer itself is at fault.
    """

    version: str
    fault: str
    files: FileStamps
    at: float


class Serving(Generic[Made]):
    """An object made of the registry's current bundle, replaced when the pointer moves.

    A bundle is checked in full before anything is made of it. One that must not be served is refused, and what was
    served before goes on, whatever is wrong with the bundle or with the pointer. Whoever brings bundles may set the
    pointer before all files are there: a version that was refused is tried again once its files have changed and then
    kept still, and every 30 s. Where the current one must not be served at the start, the last good one that was
    current before it is, and the current one is tried again in the same way.

    Parameters
    ----------
    registry : of published bundles.
    make : what is served of a bundle, such as an Extractor or a Recommender; it should be warm when it is returned.
        Whatever it raises is a reason to refuse the bundle.
    refused : told the version and the fault of a bundle that is refused, once for each fault; the version is "" if
        the pointer names none.

    Attributes
    ----------
    current : what is served now. Take it once for each answer or batch: then nothing mixes versions.
    version : of the bundle that it is made of.
    refusal : the bundle that the pointer names, if it must not be served.

    Raises
    ------
    BundleError
        If there is no current bundle yet, or neither it nor one that was current before may be served.
    """

    is_fixed = False

    def __init__(
        self,
        registry: Registry,
        make: Callable[[Bundle], Made],
        refused: Callable[[str, BundleError], None] = lambda version, error: None,
    ) -> None:
        self.checked: dict[str, FileStamps] = {}  # version -> its files when they were found good
        self.registry, self.make, self.refused = registry, make, refused
        self.stop = threading.Event()
        self.refusal: _RefusedBundle | None = None
        self.seen: FileStamps = frozenset()
        found = last_good(registry, self.check_and_make)
        self.current, self.version = found.made, found.version
        for version, fault in reversed(found.refused.items()):  # the current one last
            self.seen = registry.home.stamps(version) if version else frozenset()
            self._refuse(version, fault, "is served instead")
        if found.refused:
            log.error("bundle %s is served from the start: the last good one that was current before", self.version)
        self.looking = threading.Lock()
        self.thread = threading.Thread(target=self.follow, name="serving", daemon=True)

    @property
    def trouble(self) -> str | None:
        """Return a sentence if the pointer names a bundle that must not be served."""
        refusal = self.refusal
        if refusal is None:
            return None
        return f"bundle {refusal.version or f'in {POINTER}'} is refused, {self.version} is served: {refusal.fault}"

    def look(self) -> bool:
        """Read the pointer once, take over its bundle, and tell whether it was replaced."""
        with self.looking:
            return self._follow_pointer()

    def _follow_pointer(self) -> bool:
        """Serve the pointer's bundle if it is new and sound; tell whether it was replaced."""
        try:
            version = self._pointed_at()
        except Exception as error:  # of whatever kind: what is served must go on
            return self._refuse("", error)
        if version == self.version:
            self.refusal = None
            return False
        if not self._is_worth_a_try(version):
            return False
        self.seen = self.registry.home.stamps(version)
        try:
            made = self.check_and_make(self.registry.open(version, self.stop.is_set))
        except Exception as error:  # the files may hold anything, and `make` may raise anything
            return self._refuse(version, error)
        return self._take_over(version, made)

    def _pointed_at(self) -> str:
        """Return the version that the pointer names; raise BundleError if it names none."""
        version = self.registry.current_version()
        if version is None or not is_version(version):
            fault = "names no version" if version is None else f"says {version[:100]!r}"
            raise BundleError(f"{self.registry.home.pointer_name} {fault}; right is the name of a folder beside it")
        return version

    def _is_worth_a_try(self, version: str) -> bool:
        """Tell whether a version was never refused, or is worth reading again.

        A refused one is if its files have changed since and kept still, or some time is over.

        Reading everything again at each look, while files are still coming, would keep a core and a disk busy.
        """
        refusal = self.refusal
        if refusal is None or refusal.version != version:
            return True
        before, self.seen = self.seen, self.registry.home.stamps(version)
        is_still = before == self.seen
        return (is_still and self.seen != refusal.files) or time.monotonic() - refusal.at > TRY_AGAIN_S

    def check_and_make(self, bundle: Bundle) -> Made:
        """Check a bundle in a child process, and make the served object of it.

        A bundle that this process has found good is not checked again unless a file of it was written since, as inode,
        size and times of change say: a rollback need not wait.

        What is made must have no reference cycles: nobody looks for garbage at a swap, since that would hold up every
        thread for as long as there are objects, and cycles would keep the old bundle's memory until Python looks.

        Raises
        ------
        BundleError
            If the check fails. Whatever `make` raises goes to the caller too.
        """
        files = file_stamps(bundle.path)
        if self.checked.get(bundle.version) != files:
            check_in_child(bundle, self.stop.is_set)
            self._note_checked(bundle.version, files)
        bundle.map_files()
        return self.make(bundle)

    def _note_checked(self, version: str, files: FileStamps) -> None:
        """Note that a bundle with these files is good; they were looked at before it was checked."""
        self.checked.pop(version, None)
        self.checked[version] = files
        for oldest in list(self.checked)[:-KEPT_CHECKS]:
            del self.checked[oldest]

    def _take_over(self, version: str, made: Made) -> bool:
        """Serve the new object, unless the pointer has moved on: the next look makes that one."""
        if not self._is_wanted(version):
            return False
        self.current, self.version, self.refusal = made, version, None
        log.info("bundle %s is served now", version)
        return True

    def _is_wanted(self, version: str) -> bool:
        """Tell whether the pointer names this version; False if it cannot be read."""
        with suppress(Exception):
            return self._pointed_at() == version
        return False

    def _refuse(self, version: str, error: Exception, served: str = "goes on") -> bool:
        """Log and report a refused version, once for each fault; return False, for `look`.

        Parameters
        ----------
        served : what the version that is served does.
        """
        found = error if isinstance(error, BundleError) else BundleError(f"{type(error).__name__}: {error}")
        before = self.refusal
        self.refusal = _RefusedBundle(version, str(found), self.seen, time.monotonic())
        if before is None or (before.version, before.fault) != (version, str(found)):
            log.error("bundle %s is refused, %s %s: %s", version or f"in {POINTER}", self.version, served, found)
            try:
                self.refused(version, found)
            except Exception:
                log.exception("the refusal of bundle %s could not be told", version)
        return False

    def follow(self) -> None:
        """Look at the pointer now and then until the context ends."""
        while not self.stop.wait(self.registry.home.look_every_s):
            self.look()

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
