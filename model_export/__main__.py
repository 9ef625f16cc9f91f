"""`python -m model_export`, the same as `mindstream model`."""

from mindstream import console
from mindstream.commands.model import app

if __name__ == "__main__":
    console.run(app)
