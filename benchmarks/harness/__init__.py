"""Parts that several benchmarks use: workers, loads, clocks and the last line."""
