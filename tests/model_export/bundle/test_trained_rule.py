"""The rule that a bundle was trained under stands in its manifest, and another one than ours is said."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.bundle import MANIFEST, Bundle, BundleError, read_manifest, write_manifest
from model_export.bundle.check import check
from model_export.bundle.registry import Registry
from model_export.bundle.trained_rule import trained_rule, warn_of_another_rule
from model_export.commands.bundles import show

OURS = BehaviourRule.parse("view=1,cart=2,dislike=-1")


def trained_under(bundle: Bundle, folder: Path, rule: Any) -> Path:
    """A copy of the bundle whose manifest names this rule; None: none, as bundles of before."""
    path = shutil.copytree(bundle.path, folder / bundle.version)
    data = {name: value for name, value in bundle.manifest.data.items() if name != "behaviours"}
    write_manifest(path, replace(bundle.manifest, data=data | ({} if rule is None else {"behaviours": rule})))
    return path


@pytest.mark.parametrize(
    ("rule", "is_another"),
    [
        (None, False),  # of before: nothing is known
        ("", False),
        ("cart=2,dislike=-1,view=1", False),
        ("dislike=-1,VIEW=1.0,cart=2", False),
        ("view=1,cart=2,dislike=1", True),
        ("view=1,cart=3,dislike=-1", True),
        ("view=1,cart=2,dislike=-1,*=0", True),
        ("of a later version", True),
    ],
)
def test_another_rule_is_said_in_one_line(
    bundle: Bundle, tmp_path: Path, rule: str | None, is_another: bool, caplog: pytest.LogCaptureFixture
) -> None:
    found = Bundle(trained_under(bundle, tmp_path, rule))
    check(found)  # whatever the rule, it may be served
    assert trained_rule(found) == (rule or None)
    with caplog.at_level(logging.WARNING):
        assert warn_of_another_rule(found, OURS) is is_another
    said = [record.getMessage() for record in caplog.records]
    expected = (
        f"bundle {bundle.version} was trained under the rule {rule} for what counts as a behaviour, and here "
        "MINDSTREAM_BEHAVIOURS is cart=2,dislike=-1,view=1; set one rule for both, or train again"
    )
    assert said == [expected] * is_another


@pytest.mark.parametrize("wrong", [1, ["view=1"], {"view": 1}, True])
def test_a_rule_in_the_manifest_is_text(bundle: Bundle, tmp_path: Path, wrong: object) -> None:
    path = trained_under(bundle, tmp_path, wrong)
    assert json.loads((path / MANIFEST).read_text())["data"]["behaviours"] == wrong
    with pytest.raises(BundleError, match=r"manifest\.json: data\.behaviours is .*; right is text"):
        read_manifest(path)


@pytest.mark.parametrize(("rule", "shown"), [("view=1,dislike=-1", "view=1,dislike=-1"), (None, "not recorded")])
def test_show_names_the_rule(
    bundle: Bundle, tmp_path: Path, rule: str | None, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Registry(tmp_path / "models").publish(trained_under(bundle, tmp_path / "new", rule))
    show(None, str(tmp_path / "models"))
    assert f"\nbehaviours: {shown}\n" in capsys.readouterr().out
