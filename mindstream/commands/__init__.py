"""Commands that need several rooms, and the one command that holds all of them."""
