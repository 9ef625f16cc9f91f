"""What a record's value begins with: the prefix of Confluent's wire format, or another one that is not read."""

__all__ = ["LENGTH", "foreign_prefix", "is_prefixed", "prefix_without_registry", "schema_id_of"]

LENGTH = 5  # bytes: a zero, and the schema's id as four bytes, big-endian


def is_prefixed(value: bytes) -> bool:
    """Tell whether a value begins with a zero byte and the id of a schema.

    No registry gives the id 0: four zeros there begin an id of eight bytes.
    """
    return value[:1] == b"\0" and len(value) >= LENGTH and schema_id_of(value) != 0


def schema_id_of(value: bytes) -> int:
    """Return the schema's id in a value that has the prefix."""
    return int.from_bytes(value[1:LENGTH], "big")


def prefix_without_registry(value: bytes) -> str:
    """Name the prefix of a value where no registry is set; empty if it has none that is known.

    Says what to set to have it read.
    """
    if is_prefixed(value):
        return (
            f"it begins with the prefix of a schema registry (schema {schema_id_of(value)}); set "
            "MINDSTREAM_SCHEMA_REGISTRY to the registry's URL, or to a folder with the schema"
        )
    return foreign_prefix(value)


def foreign_prefix(value: bytes) -> str:
    """Name a prefix of a value that is not Confluent's; empty if it has none that is known.

    Says what the producer can write instead.
    """
    if value[:5] == b"\0\0\0\0\0" and len(value) >= 9:
        return (
            f"it begins with a zero and the eight-byte id {int.from_bytes(value[1:9], 'big')}, as Apicurio's "
            "serializers write; right is an id of four bytes (apicurio.registry.as-confluent=true, or the "
            "id-handler Legacy4ByteIdHandler)"
        )
    if value[:1] == b"\1" and len(value) >= 17:
        return (
            f"it begins with a one and the schema's GUID {value[1:17].hex()}; right is the schema's id after a zero, "
            "which Confluent's serializers write unless they are told otherwise"
        )
    if value[:2] in (b"\3\0", b"\3\5") and len(value) >= 18:
        return (
            f"it begins with the prefix of AWS Glue's schema registry (version {value[2:18].hex()}), which is not "
            "read; right is Confluent's prefix"
        )
    if value[:2] == b"\xc3\1":
        return "it begins as Avro's single-object encoding, which is not read; right is Confluent's prefix"
    if value[:4] == b"Obj\1":
        return "it is a whole Avro file with its schema; right is Avro's binary encoding after Confluent's prefix"
    return ""
