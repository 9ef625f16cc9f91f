"""Kafka: the cluster, its topics, the ways in and out; the group that reads, the fetching, the credentials."""
