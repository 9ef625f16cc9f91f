"""Commands of `mindstream model`."""
