"""The second stage: what the matching stage brought, in the order of a ranker."""
