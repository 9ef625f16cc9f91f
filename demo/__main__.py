"""`python -m demo`, the same as `mindstream demo`."""

from mindstream import console  # first: until it is there, Ctrl-C is a traceback

# isort: split
from demo.command import app

__all__ = ["app"]

if __name__ == "__main__":
    console.run(app)
