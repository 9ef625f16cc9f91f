"""The training-serving contract: bundles, their checks, their registry, and the extractor that runs them. No torch."""
