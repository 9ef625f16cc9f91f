"""Schemas in a folder: <id>.avsc, <id>.json or <id>.proto, and beside them those that they refer to."""

from collections.abc import Iterator
from pathlib import Path

from stream.events.registry.schema import AVRO, JSON, PROTOBUF, Schema, SchemaError

__all__ = ["SchemaFolder"]

KINDS = {".avsc": AVRO, ".json": JSON, ".proto": PROTOBUF}


class SchemaFolder:
    """A folder of schemas, each in a file that is named by its id.

    What schemas refer to lies there too: Avro's named types in files of their full names (`com.shop.Item.avsc`),
    Protobuf's imports by their paths (`shop/item.proto`).

    Parameters
    ----------
    folder : is read at each look-up, so a schema may be added at any time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """Return the folder."""
        return str(self.folder)

    def get(self, schema_id: int) -> Schema:
        """Read the schema of this id.

        Raises
        ------
        SchemaError
            If the folder has no file of this id, or several, or one that is not in UTF-8.
        OSError
            If the folder or a file cannot be read.
        """
        try:
            file = self._file_of(schema_id)
            references = {name: _text(other) for name, other in self._referred(file.suffix)}
            return Schema(KINDS[file.suffix], _text(file), references)
        except OSError as error:
            raise OSError(f"the folder of schemas {self.folder} cannot be read: {error}") from None

    def _file_of(self, schema_id: int) -> Path:
        """Return the one file of an id."""
        named = {file.name: file for file in self.folder.iterdir()}
        right = [f"{schema_id}{suffix}" for suffix in KINDS]
        found = [name for name in right if name in named]
        if len(found) != 1:
            held = f"{' and '.join(found)} are there" if found else "no such file"
            raise SchemaError(f"{held}; right is one of {', '.join(right)}")
        return named[found[0]]

    def _referred(self, suffix: str) -> Iterator[tuple[str, Path]]:
        """List the names by which schemas of a kind may refer to files of the folder."""
        for file in self.folder.rglob(f"*{suffix}"):
            path = file.relative_to(self.folder)
            if suffix != ".json" and not path.stem.isdecimal():  # what an id names is referred to by none
                yield (path.stem if suffix == ".avsc" else path.as_posix()), file


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SchemaError(f"the file {file.name} is not in UTF-8") from None
