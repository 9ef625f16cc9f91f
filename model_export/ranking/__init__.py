"""The second stage: what a ranker learns from, its training, and what it does to a page."""
