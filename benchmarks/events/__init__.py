"""Events that are posted over HTTP while Kafka comes and goes, and what is on the topic then."""
