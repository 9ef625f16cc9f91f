"""The commands of `mindstream index`."""
