"""The items of a bundle, and those that were put, changed and removed since."""
