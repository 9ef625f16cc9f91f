"""RecBole's atomic files: .inter with the interactions, .item and .user beside it, names with their types."""

from dataclasses import replace

from mindstream.mapping import Mapping
from model_export.data.interactions import SEPARATOR
from model_export.readers.layout import Found, Layout, Preset, Table
from model_export.readers.presets.movielens import MOVIELENS_100K
from model_export.readers.presets.peek import names_of, stem
from model_export.readers.presets.sql import decade
from model_export.readers.sql import literal, quoted

__all__ = ["MOVIELENS_100K_ANY", "RECBOLE"]

_INTER_100K = "ml-100k.inter"
_TYPES = ("token", "token_seq", "float", "float_seq")
_TITLES = ("movie_title", "title", "item_name", "name", "product_name", "book_title", "artist_name")
_CATEGORIES = ("class", "genre", "genres", "categories", "category", "category_id", "cate")
_FEATURES = ("brand", "author", "authors", "publisher", "tags", "tag_value", "city", "store", "seller_id")
_PROFILES = ("age", "gender", "occupation", "country", "location", "city", "age_level")
_RATINGS = ("rating", "stars", "star", "score")


def _plain(names: tuple[str, ...]) -> dict[str, str]:
    """Return name without its type -> name as in the file."""
    return {one.rpartition(":")[0] or one: one for one in names}


def _is_typed(names: tuple[str, ...]) -> bool:
    """Tell whether all names end in a type of RecBole's."""
    return bool(names) and all(":" in one and one.rpartition(":")[2] in _TYPES for one in names)


def _inter(found: Found) -> str | None:
    """Return the name of the one .inter file: of the path's name, or the folder's only one."""
    inters = [one for one in found.files if one.endswith(".inter")]
    if not found.is_folder:
        name_of_it = f"{stem(found.path)}.inter"
        return name_of_it if name_of_it in inters and found.name.endswith((".inter", ".item", ".user")) else None
    return inters[0] if len(inters) == 1 else None


def _looks_like(found: Found) -> bool:
    inter = _inter(found)
    return inter is not None and _is_typed(names_of(found.files[inter]))


def _table(found: Found, file: str) -> Table:
    return found.table(file, delimiter="\t", quote="")


def _layout(found: Found) -> Layout:
    inter = _inter(found)
    if inter is None:
        raise FileNotFoundError(
            f"RecBole's files are NAME.inter with NAME.item and NAME.user; no .inter at {found.path}"
        )
    columns = _plain(names_of(found.files[inter]))
    mapping, notes = _mapping(names_of(found.files[inter]))
    catalogue, people = (f"{inter.removesuffix('.inter')}.{ending}" for ending in ("item", "user"))
    beside = {key: file for key, file in (("catalogue", catalogue), ("people", people)) if file in found.files}
    renamed = ", ".join(f"{quoted(typed)} AS {quoted(plain)}" for plain, typed in columns.items())
    kind = ", 'rating' AS event_type" if mapping.type == "event_type" else ""
    return Layout(
        format="recbole",
        events=_table(found, inter),
        mapping=mapping,
        sql=f"SELECT {renamed}{kind}, row_number FROM events",
        beside={key: _table(found, file) for key, file in beside.items()},
        items=_items(names_of(found.files[catalogue])) if "catalogue" in beside else None,
        users=_users(names_of(found.files[people])) if "people" in beside else None,
        notes=notes,
    )


def _mapping(names: tuple[str, ...]) -> tuple[Mapping, tuple[str, ...]]:
    """Return the mapping, and what is to be said of it.

    Without usual names users are the first token, items the second.
    """
    plain = _plain(names)
    tokens = [one.rpartition(":")[0] for one in names if one.endswith(":token")]
    user = "user_id" if "user_id" in plain else tokens[0] if tokens else None
    others = [one for one in tokens if one != user]
    item = "item_id" if "item_id" in plain else others[0] if others else None
    time = next((one for one in plain if one in ("timestamp", "time", "date")), None)
    rating = next((one for one in plain if one in _RATINGS), None)
    kind = next((one for one in plain if one in ("event_type", "behavior_type", "action_type")), None)
    kind = kind or ("event_type" if rating else None)
    notes = () if time else ("the .inter file has no timestamp: its rows are taken in their order",)
    untimed = None if time else True
    return Mapping().updated(user=user, item=item, time=time, value=rating, type=kind, untimed=untimed), notes


def _items(names: tuple[str, ...]) -> str:
    """Return the statement for the items: title, category, price and side features."""
    plain = _plain(names)
    title = next((one for one in _TITLES if one in plain), None)
    category = next((one for one in _CATEGORIES if one in plain), None)
    parts = [f"{quoted(names[0])} AS item_id"]
    if title:
        parts.append(f"{_title(plain, title)} AS title")
    if "price" in plain:
        parts.append(f"{quoted(plain['price'])} AS price")
    for one, typed in plain.items():
        if one == category:
            parts.append(f"split_part({_values(typed)}, {literal(SEPARATOR)}, 1) AS category")
        if one == category or one in _FEATURES:
            feature = "genres" if one == "class" else one  # as MovieLens calls them
            parts.append(f"{_values(typed)} AS {quoted(f'feature_{_free(feature)}')}")
    return f"SELECT {', '.join(parts)} FROM catalogue"


def _free(feature: str) -> str:
    """Return a name that a side feature may have: that of the category is taken."""
    return "categories" if feature == "category" else feature


def _title(plain: dict[str, str], title: str) -> str:
    """Return the title; MovieLens' get their year back, which has a column of its own there."""
    if "release_year" not in plain:
        return quoted(plain[title])
    year, text = quoted(plain["release_year"]), quoted(plain[title])
    return f"CASE WHEN regexp_full_match({year}, '\\d{{4}}') THEN {text} || ' (' || {year} || ')' ELSE {text} END"


def _values(typed: str) -> str:
    """Return the values of a column with "|" between them; those of a token_seq have blanks."""
    values = f"nullif(nullif(trim({quoted(typed)}), ''), 'unknown')"
    return f"replace({values}, ' ', {literal(SEPARATOR)})" if typed.endswith(":token_seq") else values


def _users(names: tuple[str, ...]) -> str:
    """Return the statement for the users: the fields that divide them into few."""
    plain = _plain(names)
    kept = sorted((one for one in plain if one in _PROFILES), key=("gender", *_PROFILES).index)
    fields = [f"{decade(quoted(plain[one])) if one == 'age' else quoted(plain[one])} AS {quoted(one)}" for one in kept]
    return f"SELECT {', '.join([f'{quoted(names[0])} AS user_id', *fields])} FROM people"


def _is_100k(found: Found) -> bool:
    return "u.data" not in found.files and _inter(found) == _INTER_100K and _looks_like(found)


def _layout_100k(found: Found) -> Layout:
    """Return the layout of MovieLens 100K in either form."""
    if _INTER_100K not in found.files or "u.data" in found.files:
        return MOVIELENS_100K.layout(found)
    for file in ("ml-100k.item", "ml-100k.user"):
        if file not in found.files:
            folder = found.path if found.is_folder else found.path.parent
            raise FileNotFoundError(f"MovieLens needs {file} beside its other files; there is none in {folder}")
    return replace(_layout(found), format=MOVIELENS_100K.name)


RECBOLE = Preset("recbole", "RecBole's atomic files (.inter, .item, .user)", _looks_like, _layout)
MOVIELENS_100K_ANY = Preset(
    MOVIELENS_100K.name,
    "MovieLens 100K (u.data, u.item, u.user, or RecBole's ml-100k files)",
    lambda found: MOVIELENS_100K.looks_like(found) or _is_100k(found),
    _layout_100k,
)
