"""Print the requirements of extras of pyproject.toml, a line each: `extras.py tracing,registry`."""

import sys
import tomllib
from pathlib import Path

known = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
for name in filter(None, sys.argv[1].split(",")):
    if name not in known:
        sys.exit(f"EXTRAS names {name!r}, which is no extra of pyproject.toml; right are {', '.join(sorted(known))}")
    print(*known[name], sep="\n")
