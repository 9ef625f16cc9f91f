"""`python -m stream`, the same as `mindstream stream`."""

from mindstream import console  # first: until it is there, Ctrl-C is a traceback

# isort: split
from stream.commands.app import app

__all__ = ["app"]

if __name__ == "__main__":
    console.run(app)
