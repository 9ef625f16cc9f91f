"""Benchmarks of how good recommendations are."""
