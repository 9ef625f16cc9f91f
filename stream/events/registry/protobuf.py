"""Protobuf messages, read by what protoc makes of the text of their .proto file."""

import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import google.type
import grpc_tools
from confluent_kafka.schema_registry.confluent import meta_pb2
from confluent_kafka.schema_registry.confluent.type import decimal_pb2, variant_pb2
from confluent_kafka.schema_registry.confluent.types import decimal_pb2 as former_decimal_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from stream.events.registry.schema import Schema, SchemaError

__all__ = ["protobuf_reader"]

FILE = "schema-of-this-id.proto"  # no path that an import has
COMPILED_WITHIN_S = 60
# Imports that no registry keeps, for its clients bring them: Google's as files, Confluent's as descriptors.
INCLUDED = (Path(grpc_tools.__path__[0], "_proto"), Path(google.type.__path__[0]).parents[1])
BROUGHT = tuple(one.DESCRIPTOR for one in (meta_pb2, decimal_pb2, variant_pb2, former_decimal_pb2))


def protobuf_reader(schema: Schema) -> Callable[[bytes], object]:
    """Return the function that reads the values of a schema.

    A value is the place of the message's type, and the message. Fields have the names of the .proto file, and where
    they have no presence their default if they are not set. The rest is Protobuf's mapping to JSON: whole numbers of 64
    bits and timestamps are text, enums their names.

    Raises
    ------
    SchemaError
        If protoc cannot compile the text.
    """
    files = _compiled(schema).file
    pool = DescriptorPool()
    for file in files:
        pool.Add(file)
    [own] = [file for file in files if file.name == FILE]

    @cache
    def type_at(places: tuple[int, ...]) -> type[Message]:
        found: type[Message] = GetMessageClass(pool.FindMessageTypeByName(_name_at(own, places)))
        return found

    def read(data: bytes) -> object:
        places, begin = _places(data)
        message = type_at(places).FromString(data[begin:])
        return MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=pool
        )

    return read


def _compiled(schema: Schema) -> FileDescriptorSet:
    """Compile a .proto file, and what it imports.

    In a process of its own: protoc ends its process upon some faults, and says what is wrong on its error output.
    """
    with TemporaryDirectory(prefix="mindstream-proto-") as name:
        folder = Path(name)
        descriptors = _write(folder, schema)
        (folder / "brought").write_bytes(descriptors.SerializeToString())
        includes = [f"-I{include}" for include in (folder, *INCLUDED)]
        outputs = [f"--descriptor_set_in={folder / 'brought'}", f"--descriptor_set_out={folder / 'compiled'}"]
        command = [sys.executable, "-P", "-m", "grpc_tools.protoc", *includes, *outputs, "--include_imports", FILE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILED_WITHIN_S, check=False)
        except subprocess.TimeoutExpired:
            raise OSError(f"protoc has not compiled a schema within {COMPILED_WITHIN_S} s") from None
        if done.returncode:
            raise SchemaError(f"protoc cannot compile it: {_faults(done.stderr.replace(f'{folder}/', ''))}")
        return FileDescriptorSet.FromString((folder / "compiled").read_bytes())


def _write(folder: Path, schema: Schema) -> FileDescriptorSet:
    """Write a .proto file and what it imports, each by the path that imports name.

    Returns
    -------
    The descriptors of those that are no files.
    """
    descriptors = FileDescriptorSet()
    for brought in BROUGHT:
        brought.CopyToProto(descriptors.file.add())
    for name, text in {**schema.references, FILE: schema.text}.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise SchemaError(f"it imports {name}, which is outside of what a schema may import")
        if descriptor := _descriptor_in(text):
            descriptor.name = name
            descriptors.file.append(descriptor)
            continue
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return descriptors


def _descriptor_in(text: str) -> FileDescriptorProto | None:
    """Return the descriptor in a text in base64; None if it is none.

    Some producers register descriptors instead of .proto files, and some registries give them back as they are.
    """
    try:
        return FileDescriptorProto.FromString(b64decode(text, validate=True))
    except (ValueError, DecodeError):
        return None


def _faults(said: str) -> str:
    """Return the lines in which protoc says what is wrong."""
    return "; ".join(line for line in said.splitlines() if "warning:" not in line)[:1000]


def _places(data: bytes) -> tuple[tuple[int, ...], int]:
    """Return the place of the message's type, and where the message begins.

    The place is that of the outermost type among the file's, then that of the next one in it, and so on.
    Written are a count and so many numbers, all zigzag varints; a single zero stands for the first type of the file.
    """
    count, begin = _zigzag(data, 0)
    if not 0 <= count <= len(data):
        raise ValueError(f"a type's place of {count} numbers")
    places = []
    for _ in range(count):
        place, begin = _zigzag(data, begin)
        places.append(place)
    return tuple(places) or (0,), begin


def _zigzag(data: bytes, begin: int) -> tuple[int, int]:
    """Read a zigzag varint; return it and where the next begins."""
    value = shift = 0
    while True:
        if begin == len(data) or shift > 63:
            raise ValueError("the place of the message's type is cut off")
        byte, begin = data[begin], begin + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), begin


def _name_at(file: FileDescriptorProto, places: Iterable[int]) -> str:
    """Return the full name of the message type at a place."""
    types, names = file.message_type, [file.package] if file.package else []
    for place in places:
        if not 0 <= place < len(types):
            raise ValueError(f"no message type {place} in {'.'.join(names) or 'the file'}, which has {len(types)}")
        found: DescriptorProto = types[place]
        names.append(found.name)
        types = found.nested_type
    return ".".join(names)
