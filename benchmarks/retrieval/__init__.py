"""Recall and time of max-sim retrieval, ours and peers': python -m benchmarks retrieval."""
