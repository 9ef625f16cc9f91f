"""The commands of `mindstream stream`."""
