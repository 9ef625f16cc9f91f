"""The command `build`: a bundle's item index, before the bundle is published."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from index.search.ef_tuning import TARGET
from index.search.hnsw import HnswSettings
from index.search.index_files import breadth_of, build_index
from model_export.bundle.bundle import Bundle

__all__ = ["build"]


def build(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder that `mindstream model export` made.", exists=True)],
    kind: Annotated[str, typer.Option(help="auto (exact up to 20,000 items), exact or hnsw.")] = "auto",
    m: Annotated[int, typer.Option(help="HNSW: links an item.", min=2)] = 16,
    ef_construction: Annotated[int, typer.Option(help="HNSW: breadth of building.", min=1)] = 200,
    ef: Annotated[int, typer.Option(help="HNSW: breadth of searching; 0: as --recall needs it.", min=0)] = 0,
    recall: Annotated[float, typer.Option(help="HNSW: recall that ef is measured for.")] = TARGET,
) -> None:
    """Add the item index to a bundle, before it is published."""
    built = build_index(Bundle(bundle), kind, HnswSettings(m, ef_construction, ef), target=recall)
    print(f"{built.path}: {built.manifest.index['kind']} index of {built.manifest.items:,} items")
    if found := breadth_of(built):
        for n, breadth in found.ef.items():
            print(f"N = {n:,}: ef {breadth:,}, recall {found.recall[n]:.4f}")
        if found.missed:
            missed = ", ".join(f"{n:,} ({found.recall[n]:.4f})" for n in found.missed)
            print(
                f"warning: no breadth that was tried has recall {found.target} at N = {missed}, so the largest is "
                "taken; a larger --m or --ef-construction may help",
                file=sys.stderr,
            )
