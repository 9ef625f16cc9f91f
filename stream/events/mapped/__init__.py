"""Events out of records in any shape, by a mapping: which name in the value is the user, the item, the time."""
