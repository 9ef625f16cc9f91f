"""How the demo trains its models, and how good they are, in words."""
