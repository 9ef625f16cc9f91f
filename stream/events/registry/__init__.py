"""Values behind a schema registry: Avro, Protobuf and JSON after the five-byte prefix of Confluent's wire format."""
