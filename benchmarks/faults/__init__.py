"""Real faults on a real Kafka and a real Redis, and what is lost or applied twice because of them."""
