"""From a request to candidates."""
