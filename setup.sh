#!/bin/sh
# Makes .venv and installs everything: `make setup`. Needs Python 3.11 or later and a C++ compiler.
set -eu

say() { echo "setup: $*" >&2; }
stop() { say "$*"; exit 1; }

command -v "$PYTHON" >/dev/null || stop "there is no $PYTHON; install Python 3.11 or later, or name one: make PYTHON=..."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$("$PYTHON" --version) is too old; Python 3.11 or later is needed: make PYTHON=python3.12"

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv ||
    stop "$PYTHON cannot make virtual environments; on Debian and Ubuntu install the package python3-venv"

# hnswlib is built from source. Its build asks for a compiler in many lines; one sentence is kinder.
.venv/bin/python -c 'import hnswlib' 2>/dev/null || command -v c++ >/dev/null || command -v g++ >/dev/null ||
    command -v clang++ >/dev/null ||
    stop "there is no C++ compiler, which hnswlib needs; install g++ (Debian, Ubuntu: g++; macOS: xcode-select --install)"

[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

install() { .venv/bin/uv pip install --python .venv/bin/python --constraint constraints.txt "$@"; }

# torch's CPU build is a tenth of the size of the standard one, but has an index of its own that not everyone reaches.
if [ "$(uname)" = Linux ] && ! .venv/bin/python -c 'import torch' 2>/dev/null; then
    install --quiet --torch-backend=cpu torch 2>/dev/null ||
        say "the index of torch's CPU builds cannot be reached; installing the standard build, which is several GB"
fi
install --editable '.[train,test]'
