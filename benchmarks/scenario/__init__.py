"""The scenario that the benchmarks of faults and of swaps share."""
