"""Traces of events and answers, by OpenTelemetry: the extra `tracing`, and MINDSTREAM_TRACES."""
