"""The real Kafka, the real Redis and the processes that tests and benchmarks run on."""
