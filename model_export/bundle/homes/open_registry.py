"""Opening the registry of a folder or of a url."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from mindstream.objects.bucket import SCHEMES, is_url
from model_export.bundle.bundle import Bundle
from model_export.bundle.homes.url import UrlHome
from model_export.bundle.registry import Registry

__all__ = ["open_registry"]


def open_registry(where: str | Path, cache: Path, check: Callable[[Bundle], None] = Bundle.verify) -> Registry:
    """Open the registry of published bundles in a folder, or below a url of an object store.

    Parameters
    ----------
    where : a folder, or a url such as s3://shop/bundles, gs://... or az://...; see `Settings.published`.
    cache : folder below which copies of a url's bundles lie; see `Settings.cache`.
    check : what a bundle must pass before it becomes current; it raises BundleError.

    Raises
    ------
    ValueError
        If it is a url of no object store, or what speaks to it is not installed.
    """
    scheme, _, rest = str(where).partition(":/")
    if scheme in SCHEMES and not rest.startswith("/"):
        raise ValueError(f"{where} is no url, and an odd folder; right is {scheme}://{rest}")
    if not is_url(str(where)):
        return Registry(Path(where), check)
    if str(where).startswith("file:///"):
        return Registry(Path(unquote(str(where).removeprefix("file://"))), check)
    return Registry(UrlHome(str(where), cache), check)
