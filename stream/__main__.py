"""`python -m stream`: the command line of the stream."""

from mindstream import console
from stream.commands.app import app

__all__ = ["app"]

if __name__ == "__main__":
    console.run(app)
