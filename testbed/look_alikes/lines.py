"""Look-alikes of files with several items in a line, or numbers alone: MIND, SASRec and LightGCN."""

from pathlib import Path

from testbed.look_alikes.expected import ROWS, USERS, Expected, LookAlike, rows, write

__all__ = ["LINES"]


def _mind(folder: Path) -> Expected:
    """Write four impressions a user, the latest first, with a click, and the history."""
    lines = [
        f"{n + 1}\tU{row.user}\t{row.time('%m/%d/%Y %-I:%M:%S %p')}\t{f'N90 N91 N{row.user}' if row.user else ''}\t"
        f"N70-0 N{100 + row.item}-1 N71-0"
        for n, row in reversed(list(enumerate(rows())))
    ]
    write(folder / "behaviors.tsv", lines)
    news = [
        f'N{100 + item}\tsports\tsoccer\tA "title" {item}\tAbstract\thttp://x\t[]\t[{{"Label": "x"}}]'
        for item in range(8)
    ]
    write(folder / "news.tsv", news)
    write(folder / "entity_embedding.vec", ["Q41\t-0.063\t-0.181"])
    return Expected(
        events=ROWS + 3 * (USERS - 1),
        items=8 + 2 + (USERS - 1),
        types={"click": ROWS + 3 * (USERS - 1)},
        titles={"N103": 'A "title" 3'},
        categories={"N103": "sports"},
        features={"N103": {"subcategory": "soccer"}},
        left_out={"shown and not clicked": 2 * ROWS},
        orders={"U0": ["N100", "N106", "N104", "N102"], "U1": ["N90", "N91", "N1", "N105", "N103", "N101", "N107"]},
    )


def _pairs(folder: Path) -> Expected:
    pairs = [f"{row.user + 1} {row.item + 1}" for row in sorted(rows(), key=lambda row: row.user)]
    write(folder / "ml-1m.txt", pairs)
    return Expected(first=None, last=None, orders={"1": ["1", "7", "5", "3"]})


def _light_gcn(folder: Path) -> Expected:
    """Write three items of each user into train.txt, and the last into test.txt."""
    of_user = {user: [str(row.item) for row in rows() if row.user == user] for user in range(USERS)}
    write(folder / "train.txt", [" ".join([str(user), *items[:3]]) for user, items in of_user.items()])
    write(folder / "test.txt", [*(f"{user} {items[3]}" for user, items in of_user.items()), "9 "])
    write(folder / "user_list.txt", ["org_id remap_id", "A2SUAM1J3GNN3B 0"])
    return Expected(first=None, last=None, orders={"0": ["0", "6", "4", "2"]})


def _train_alone(whole: Expected) -> Expected:
    return Expected(events=18, items=8, first=None, last=None, orders={"0": ["0", "6", "4"]})


LINES = (
    LookAlike("MIND", "mind", "behaviors.tsv", _mind),
    LookAlike("SASRec", "pairs", "ml-1m.txt", _pairs, by_folder=False),
    LookAlike("LightGCN", "user-items", "train.txt", _light_gcn, _train_alone),
)
