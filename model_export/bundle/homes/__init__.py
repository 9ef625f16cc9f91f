"""Where published bundles live: in a folder, or in a bucket of an object store."""
