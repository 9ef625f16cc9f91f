"""`python -m model_export`, the same as `mindstream model`."""

from mindstream import console  # first: until it is there, Ctrl-C is a traceback

# isort: split
from mindstream.commands.model import app

__all__ = ["app"]

if __name__ == "__main__":
    console.run(app)
