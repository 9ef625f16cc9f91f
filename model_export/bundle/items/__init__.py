"""The items of a bundle as columns: memory-mapped Arrow files, and what reads them without objects for each item."""
