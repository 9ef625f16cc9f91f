"""The models, their settings and their checkpoints."""
