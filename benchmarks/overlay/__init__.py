"""What a change of an item costs those who ask meanwhile."""
