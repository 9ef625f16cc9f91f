"""The last good bundle: where the current one must not be served, those that were current before it are tried in turn.

Only bundles that the pointer names are: another one in the registry may be there because somebody went back from it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from model_export.bundle.bundle import Bundle, BundleError
from model_export.bundle.manifest_schema import is_version
from model_export.bundle.registry import POINTER, Registry

__all__ = ["Found", "last_good", "open_last_good"]

log = logging.getLogger(__name__)

Made = TypeVar("Made")


@dataclass(frozen=True)
class Found(Generic[Made]):
    """What was made of the last good bundle.

    Attributes
    ----------
    version : of the bundle.
    made : of it.
    refused : version -> fault of the bundles that the pointer names before it; none if it is the current one. The
        version is "" if what the pointer says is none.
    """

    version: str
    made: Made
    refused: dict[str, BundleError]


def last_good(registry: Registry, make: Callable[[Bundle], Made]) -> Found[Made]:
    """Make something of the current bundle or, where that fails, of one before it.

    Parameters
    ----------
    make : whatever it raises is a reason to refuse the bundle.

    Raises
    ------
    BundleError
        If nothing was published yet, or all bundles that the pointer names are refused: names the faults.
    """
    pointer = registry.home.known_pointer()
    pointer = pointer or [registry.current().version]  # which says what to do where nothing was published
    refused: dict[str, BundleError] = {}
    for version in pointer:
        try:
            made = make(registry.open(version))
        except Exception as error:  # the files may hold anything, and `make` may raise anything
            refused.setdefault(version if is_version(version) else "", _fault_of(version, error))
        else:
            return Found(version, made, refused)
    first, *others = refused.values()
    if not others:
        raise BundleError(
            f"{first}; {registry.home.pointer_name} names no other; `mindstream model list` shows those that are "
            "there, and `mindstream model promote VERSION` makes one current"
        ) from first
    raise BundleError(f"{first}; nor may those be served that were current before: {'; '.join(map(str, others))}")


def _fault_of(version: str, error: Exception) -> BundleError:
    """Return any error as one of the bundle."""
    if isinstance(error, BundleError):
        return error
    found = BundleError(f"bundle {version[:100]} cannot be served: {type(error).__name__}: {error}")
    found.__cause__ = error
    return found


def _log_refused(version: str, fault: BundleError, served: str) -> None:
    """Log a refused bundle."""
    log.error("bundle %s is refused, %s is taken: %s", version or f"in {POINTER}", served, fault)


def open_last_good(registry: Registry, refused: Callable[[str, BundleError, str], object] = _log_refused) -> Bundle:
    """Open the last good bundle, by its checksums.

    Parameters
    ----------
    refused : told version and fault of those that were current after it, and its own version.

    Raises
    ------
    BundleError
        If there is none.
    """

    def verified(bundle: Bundle) -> Bundle:
        bundle.verify()
        return bundle

    found = last_good(registry, verified)
    for version, fault in found.refused.items():
        refused(version, fault, found.version)
    return found.made
