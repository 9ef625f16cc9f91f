"""Bounds of an event, which logs are held to as well: what a log has beyond them could not be replayed."""

__all__ = ["EARLIEST_MS", "LATEST_MS", "LONGEST_EVENT_TYPE", "LONGEST_ITEM_ID", "LONGEST_USER_ID"]

EARLIEST_MS = 100_000_000_000  # March 1973: a smaller number is in seconds, not milliseconds
LATEST_MS = 4_102_444_800_000  # January 2100
LONGEST_USER_ID = 127  # characters, at most 508 bytes; LMDB's keys hold 511
LONGEST_ITEM_ID = 512
LONGEST_EVENT_TYPE = 64
