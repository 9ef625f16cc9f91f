"""The names of the features of candidates, in their order; features.py says what each is and computes them."""

__all__ = ["FEATURES", "HELD_OUT_FEATURES"]

FEATURES: tuple[str, ...] = (
    "max_sim",
    "capsule_importance",
    "capsule_rank",
    "second_max_sim",
    "matching",
    "log_popularity",
    "trend",
    "times_in_history",
    "hours_since_taken",
    "neighbour_last",
    "neighbour_recent",
    "category_share",
    "category_last",
    "price_gap",
    "price_known",
)
HELD_OUT_FEATURES: tuple[str, ...] = (
    "max_sim",
    "second_max_sim",
    "matching",
    "neighbour_last",
    "neighbour_recent",
    "capsule_importance",
    "capsule_rank",
)
