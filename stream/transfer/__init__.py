"""Users out of a store into a file and back: to another store, another version, another place."""
