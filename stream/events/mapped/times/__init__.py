"""Times in records: told from one value, since a topic has no column to look at."""
