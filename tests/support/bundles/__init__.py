"""Models and bundles that tests make: untrained, quick to export, of a former schema."""
