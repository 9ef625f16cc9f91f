"""Reading what people and trackers write: ids, times, and the names of fields."""
