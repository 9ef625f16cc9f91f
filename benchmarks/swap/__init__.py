"""The cost of a new model while everything goes on: python -m benchmarks swap."""
