"""What a new model costs while everything goes on: python -m benchmarks swap."""
