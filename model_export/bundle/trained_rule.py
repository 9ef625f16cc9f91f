"""The rule for what counts as a behaviour that a bundle was trained under, beside the rule that is served by."""

import logging

from mindstream.behaviour_rule import BehaviourRule
from model_export.bundle.bundle import Bundle

__all__ = ["trained_rule", "warn_of_another_rule"]

log = logging.getLogger(__name__)


def trained_rule(bundle: Bundle) -> str | None:
    """Return the text of the rule that a bundle was trained under; None if it does not say so."""
    return bundle.manifest.data.get("behaviours") or None


def warn_of_another_rule(bundle: Bundle, rule: BehaviourRule) -> bool:
    """Log a warning if a bundle was trained under another rule; tell whether it was.

    Capsules are then made of other behaviours than the model has learned from. It is served all the same: what is right
    is for whoever set the rules to say.
    """
    trained = trained_rule(bundle)
    if trained is None or _is_rule(trained, rule):
        return False
    log.warning(
        "bundle %s was trained under the rule %s for what counts as a behaviour, and here MINDSTREAM_BEHAVIOURS is %s; "
        "set one rule for both, or train again",
        *(bundle.version, trained, rule),
    )
    return True


def _is_rule(text: str, rule: BehaviourRule) -> bool:
    """Tell whether a text says this rule, in whatever order."""
    try:
        return BehaviourRule.parse(text) == rule
    except ValueError:  # of a later version
        return False
