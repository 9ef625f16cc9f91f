"""Answers of the HTTP API: requests that wait are gathered, found for together, and written without an object each."""
