"""Max-sim retrieval: from a user to candidates."""
