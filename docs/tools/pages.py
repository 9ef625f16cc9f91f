"""Makes the pages of the documentation site, so that relative links work on a code host and on the site alike.

    python docs/tools/pages.py FOLDER

README.md, CONTRIBUTING.md and CHANGELOG.md become pages beside those of docs/. A file that a page links to, such as a
module, becomes a page that shows it. A link to a file that does not exist is an error.
"""

import posixpath
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
ASSETS = (".png", ".svg", ".css")
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)[^)\s#]+")  # to a file, without the anchor
LANGUAGES = {".py": "python", ".sh": "bash", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}


def main(folder: Path) -> None:
    """Write all pages into a folder, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shown: set[Path] = set()
    for page in [*(ROOT / name for name in PAGES), *sorted(DOCS.rglob("*.md"))]:
        write(folder / place_of(page), rewritten(page, shown))
    for asset in sorted(file for file in DOCS.iterdir() if file.suffix in ASSETS):
        shutil.copyfile(asset, folder / asset.name)
    for file in shown:
        write(folder / place_of(file), as_page(file))


def rewritten(page: Path, shown: set[Path]) -> str:
    """Lead the links of a page to the pages of the files; add files that need one to `shown`.

    Raises
    ------
    ValueError
        Names the page and the link where there is no such file.
    """

    def led(found: re.Match[str]) -> str:
        file = Path(posixpath.normpath((page.parent / found[0]).as_posix()))
        if not file.is_file():
            raise ValueError(f"{page.relative_to(ROOT)} links to {found[0]}, which is not a file")
        if place_of(file).startswith("source/"):
            shown.add(file)
        return posixpath.relpath(place_of(file), posixpath.dirname(place_of(page)) or ".")

    return outside_code(page.read_text(encoding="utf-8"), lambda text: LINK.sub(led, text))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change what stands outside fenced blocks of code."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else change(part) for part in parts)


def place_of(file: Path) -> str:
    """Return the place of a file in the site, below the folder of pages."""
    path = file.relative_to(ROOT).as_posix()
    if path in PAGES:
        return PAGES[path]
    in_docs = file.is_relative_to(DOCS) and file.suffix in (".md", *ASSETS)
    if in_docs:
        return path.removeprefix("docs/")
    visible = re.sub(r"(^|/)\.", r"\1", path)  # sites leave out what begins with a dot
    return f"source/{visible}.md"


def as_page(file: Path) -> str:
    """Write a page that shows a file; the search leaves it out."""
    path = file.relative_to(ROOT).as_posix()
    language, text = LANGUAGES.get(file.suffix, "text"), file.read_text(encoding="utf-8")
    head = f"---\ntitle: {path}\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n"
    return f"{head}\n# {path}\n\n`````{language}\n{text}`````\n"


def write(file: Path, text: str) -> None:
    """Write a file, and its folder where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))
