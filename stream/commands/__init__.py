"""The commands of `python -m stream`."""
