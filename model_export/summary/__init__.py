"""A log in figures: what is in it, what looks suspicious, and what to do about it."""
