"""Traces of the HTTP API's requests."""
