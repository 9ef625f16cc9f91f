"""The rule for what counts as a behaviour: read from one line, written so that it reads back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindstream.behaviour_rule import BehaviourRule

RULE = BehaviourRule.parse("view=1, cart=2.5 ,PURCHASE=4,impression=0,dislike=-1,undislike=undo,")


@pytest.mark.parametrize(
    ("event_type", "weight", "kind"),
    [
        ("view", 1.0, "behaviour"),
        ("Cart", 2.5, "behaviour"),
        ("purchase", 4.0, "behaviour"),
        ("share", 1.0, "behaviour"),  # not named
        ("Impression", 0.0, "none"),
        ("DISLIKE", -1.0, "negative"),
        ("UnDislike", 0.0, "undo"),
    ],
)
def test_each_type_is_of_one_kind(event_type: str, weight: float, kind: str) -> None:
    assert RULE.weight(event_type) == weight
    assert RULE.is_behaviour(event_type) is (kind == "behaviour")
    assert RULE.is_negative(event_type) is (kind == "negative")
    assert RULE.undoes(event_type) is (kind == "undo")
    assert RULE.counts(event_type) is (kind != "none")


def test_a_star_is_all_other_types() -> None:
    rule = BehaviourRule.parse("view=1,cart=2,*=0")
    assert [rule.weight(one) for one in ("view", "cart", "share", "dislike")] == [1, 2, 0, 0]
    assert not rule.counts("share")


def test_without_a_rule_every_type_counts_alike() -> None:
    assert BehaviourRule() == BehaviourRule.parse("") == BehaviourRule.parse("*=1")
    assert BehaviourRule().weight("anything") == 1


def test_negative_types_are_listed_in_order() -> None:
    assert BehaviourRule.parse("hide=-2,view=1,dislike=-1,scroll=0").negative_types == ("dislike", "hide")
    assert BehaviourRule.parse("view=1").negative_types == ()


def test_a_type_may_hold_an_equals_sign() -> None:
    assert BehaviourRule.parse("utm=x=2").weight("utm=x") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("view", "'view' is no pair; right are pairs TYPE=WEIGHT"),
        ("view=1,=2", "'=2' is no pair"),
        ("view:1", "'view:1' is no pair"),
        ("view=", "the weight in 'view=' is no number from -1e6 to 1e6"),
        ("view=one", "the weight in 'view=one' is no number"),
        ("view=nan", "the weight in 'view=nan' is no number"),
        ("view=inf", "the weight in 'view=inf' is no number"),
        ("view=1e7", "the weight in 'view=1e7' is no number from -1e6 to 1e6"),
        ("*=undo", r"the weight in '\*=undo' is no number"),
        ("view=1,View=2", "'view' comes twice"),
        ("view=1,view=undo", "'view' comes twice"),
        ("*=0,*=1", r"'\*' comes twice"),
        ("view=0,*=0", "no event type weighs more than 0, so nothing would be a behaviour"),
        ("dislike=-1,*=-1", "no event type weighs more than 0"),
        ("undo=undo,*=0", "no event type weighs more than 0"),
        (f"{'x' * 65}=1", "'xxxxxxxxxxxxxxxxxxxx'... has 65 characters; an event type has at most 64"),
    ],
)
def test_what_is_no_rule_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BehaviourRule.parse(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("view=1,cart=2.50,dislike=-1.0", "cart=2.5,dislike=-1,view=1"),
        ("*=0,b=undo,a=undo,Z=0.1", "z=0.1,a=undo,b=undo,*=0"),
        ("view=1.2345678901,*=1", "view=1.2345678901"),  # every digit: other weights are another rule
        ("*=1", "*=1"),
        ("", "*=1"),
        ("x=-0,y=1000000", "x=0,y=1000000"),
    ],
)
def test_equal_rules_are_written_alike(text: str, written: str) -> None:
    assert str(BehaviourRule.parse(text)) == written


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=","), min_size=1, max_size=9).map(
    lambda name: name.strip().lower()
)
weights = st.floats(-1e6, 1e6).map(repr) | st.just("undo")


@given(st.dictionaries(names.filter(lambda name: name not in ("", "*")), weights, max_size=5), st.floats(0.001, 10))
def test_what_is_written_reads_back(pairs: dict[str, str], others: float) -> None:
    rule = BehaviourRule.parse(",".join([*(f"{name}={weight}" for name, weight in pairs.items()), f"*={others!r}"]))
    assert BehaviourRule.parse(str(rule)) == rule
    assert rule.weights == {name: float(weight) for name, weight in pairs.items() if weight != "undo"}
    assert rule.undoing == {name for name, weight in pairs.items() if weight == "undo"}
    assert rule.others == others
