"""All that can be suspicious in a log, the worst first."""

from collections.abc import Callable

from model_export.summary import suspicious_ids as ids
from model_export.summary import suspicious_losses as losses
from model_export.summary import suspicious_times as times
from model_export.summary import suspicious_types as types
from model_export.summary.clues import Clues

__all__ = ["SUSPICIONS", "suspicions"]

SUSPICIONS: tuple[Callable[[Clues], str | None], ...] = (
    types.no_behaviours,
    losses.without_a_user,
    losses.without_an_item,
    losses.without_a_time,
    losses.outside_of_times,
    losses.malformed,
    losses.too_little,
    ids.users_only_once,
    ids.items_only_once,
    ids.swapped,
    ids.rare_items,
    times.long_ago,
    times.in_the_future,
    times.at_one_moment,
    times.without_time_of_day,
    times.far_apart,
    times.gap,
    ids.numbers_that_lost_digits,
    ids.same_but_for_case,
    types.impressions_that_count,
    types.dislikes_that_count,
    types.one_type_drowns_the_others,
    types.ratings_for_types,
    types.too_many_types,
    ids.a_heavy_user,
    ids.users_without_a_name,
    ids.a_heavy_item,
    ids.duplicates,
    ids.addresses_for_users,
    ids.one_title_for_many,
    ids.a_category_for_each_item,
    ids.prices_of_nothing,
)


def suspicions(clues: Clues) -> tuple[str, ...]:
    """Return a sentence for each thing that looks wrong, with what to do about it."""
    return tuple(sentence for look in SUSPICIONS if (sentence := look(clues)))
