"""Files in object stores, by their urls."""
