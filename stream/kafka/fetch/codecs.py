"""The codecs of record batches, each of which needs a package."""

import importlib

from kafka import codec
from kafka.record import default_records, legacy_records
from kafka.record.default_records import DefaultRecordBatch

__all__ = ["missing_package", "name_of"]

NAMES = {
    DefaultRecordBatch.CODEC_GZIP: "gzip",
    DefaultRecordBatch.CODEC_SNAPPY: "snappy",
    DefaultRecordBatch.CODEC_LZ4: "lz4",
    DefaultRecordBatch.CODEC_ZSTD: "zstd",
}
PACKAGES = {"snappy": "python-snappy", "lz4": "lz4", "zstd": "zstandard"}


def name_of(compression_type: int) -> str | None:
    """Return the name of a batch's codec; None if Kafka knows none of that number."""
    return NAMES.get(compression_type)


def missing_package(compression_type: int, magic: int = 2) -> str | None:
    """Name the package without which batches of this codec cannot be read.

    None if all is there. A package that was installed meanwhile is taken up.

    Parameters
    ----------
    magic : version of the batch's format; lz4 of the oldest, 0, needs xxhash too.
    """
    missing = _missing(compression_type, magic)
    if missing:
        _import_again()
        missing = _missing(compression_type, magic)
    return missing


def _missing(compression_type: int, magic: int) -> str | None:
    """Name the missing package, as the client has found it."""
    name = name_of(compression_type)
    if name is None:
        return None
    if not getattr(codec, f"has_{name}")():
        return PACKAGES.get(name, name)
    return "xxhash" if name == "lz4" and magic == 0 and codec.xxhash is None else None


def _import_again() -> None:
    """Let the client look again for the packages that it did not find when it was imported."""
    importlib.invalidate_caches()
    fresh = importlib.reload(codec)
    for module in (default_records, legacy_records):
        for name in [one for one in vars(module) if one.endswith(("_decode", "_encode", "_old_kafka"))]:
            setattr(module, name, getattr(fresh, name, getattr(module, name)))
