"""Limits of the HTTP API: the work of a request and its deadline, and connections, their number and their time."""
