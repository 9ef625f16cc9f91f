"""Behaviour events: their form on Kafka, their producer, and the replay of a log."""
