"""Rows of a log: staged, placed in time, coded, put in order."""
