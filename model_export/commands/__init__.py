"""Commands of `python -m model_export`."""
