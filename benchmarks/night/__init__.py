"""A night: a day's events of a shop in its own shape, from the topic to the model that is served the next day."""
