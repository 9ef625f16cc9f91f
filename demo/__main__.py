"""`python -m demo`, the same as `mindstream demo`."""

from demo.command import app
from mindstream import console

if __name__ == "__main__":
    console.run(app)
