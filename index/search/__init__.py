"""Max-sim search: exact, and along the links of a graph."""
