"""`python -m mindstream`, the same as `mindstream`."""

from mindstream.cli import main

if __name__ == "__main__":
    main()
