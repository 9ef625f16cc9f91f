"""The door of `python -m index`."""

from index.commands.app import app
from mindstream import console

__all__ = ["app"]

if __name__ == "__main__":
    console.run(app)
