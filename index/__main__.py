"""`python -m index`, the same as `mindstream index`."""

from mindstream import console  # first: until it is there, Ctrl-C is a traceback

# isort: split
from index.commands.app import app

__all__ = ["app"]

if __name__ == "__main__":
    console.run(app)
