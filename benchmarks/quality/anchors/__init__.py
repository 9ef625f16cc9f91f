"""Models that people know and compare with, trained and measured as ours are."""
