"""Kafka: the cluster, the way in, the reader of the group and its commits."""
