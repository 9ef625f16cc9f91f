"""Train, evaluate, export and publish multi-interest models; the bundle is what serving reads of it."""
