"""A bundle of schema 1, written from one of schema 2 as Mindstream wrote them before."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from model_export.bundle.bundle import Bundle, describe_file, required_files, write_manifest
from model_export.bundle.items.arrow_files import FILES
from model_export.bundle.items.json_files import CATALOGUE, ITEM_IDS


def as_schema_one(bundle: Bundle, path: Path) -> Bundle:
    """The same bundle at this path, with lists of JSON in place of the Arrow files."""
    shutil.copytree(bundle.path, path)
    for name in FILES:
        (path / name).unlink()
    catalogue = bundle.catalogue
    shown = {
        "title": list(catalogue.title),
        "category": list(catalogue.category),
        "price": list(catalogue.price),
        "popularity": catalogue.popularity.tolist(),
        "attributes": {name: list(values) for name, values in catalogue.attributes.items()},
    }
    (path / ITEM_IDS).write_text(json.dumps(list(bundle.item_ids), ensure_ascii=False), encoding="utf-8")
    (path / CATALOGUE).write_text(json.dumps(shown, ensure_ascii=False), encoding="utf-8")
    old = replace(bundle.manifest, schema=1)
    kept = {name for name in bundle.manifest.files if name not in FILES}
    write_manifest(
        path, replace(old, files={name: describe_file(path / name) for name in {*required_files(old), *kept}})
    )
    return Bundle(path)
