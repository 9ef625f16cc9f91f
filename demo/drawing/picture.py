"""A picture of every product, drawn in code: its category decides colour and shape, its title the rest."""

import hashlib
from collections.abc import Callable
from urllib.parse import quote

__all__ = ["SHAPES", "data_uri", "picture", "shape_of"]

WIDTH, HEIGHT = 120, 90
# Shape -> words that suggest it; what no word suggests gets the shape that the category's hash picks.
SUGGESTED_BY = {
    "leaf": "garden plant flower skin herb seed",
    "bowl": "kitchen cook table bowl pan plate pet",
    "bottle": "glass coffee tea wine soap water jar",
    "lamp": "light lamp candle lantern",
    "cloth": "bed bath rug cushion yoga linen towel home",
    "tent": "camp hik outdoor ski travel",
    "blocks": "toy game furniture shelf box",
    "book": "station book paper card office",
    "bag": "bag case purse wallet luggage",
    "rings": "jewel audio watch music ring cycl bike wheel",
    "waves": "run sport swim sound",
}


def picture(title: str, category: str) -> str:
    """Draw a small SVG; the same title and category always give the same one."""
    material, _, form = title.rpartition(" ")
    hue = _numbers(category or form)[0] * 360 // 256
    accent = _numbers(material or title)[0] * 360 // 256
    back, light = f"hsl({hue},48%,93%)", f"hsl({(hue + 24) % 360},52%,85%)"
    dark, bright = f"hsl({hue},34%,40%)", f"hsl({accent},62%,64%)"
    turn = _numbers(title)[1] % 9 - 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{back}"/>'
        f'<circle cx="{28 + _numbers(title)[2] % 64}" cy="{30 + _numbers(title)[3] % 30}" r="34" fill="{light}"/>'
        f'<g transform="rotate({turn} 60 45)" fill="{dark}" stroke="none">'
        f"{SHAPES[shape_of(title, category)](_numbers(form or title), bright)}</g></svg>"
    )


def data_uri(svg: str) -> str:
    """Return an SVG as the address of an image."""
    return "data:image/svg+xml," + quote(svg.replace('"', "'"), safe=" ='/:,()")


def _numbers(text: str) -> bytes:
    """Return eight numbers from 0 to 255 that belong to a text."""
    return hashlib.blake2b(text.casefold().encode(), digest_size=8).digest()


def shape_of(title: str, category: str) -> str:
    """Name the shape that the category suggests, else the title, else the hash of either."""
    for text in (category.casefold(), title.casefold()):
        for shape, words in SUGGESTED_BY.items():
            if any(word in text for word in words.split()):
                return shape
    return list(SHAPES)[_numbers(category or title)[4] % len(SHAPES)]


def _leaf(form: bytes, bright: str) -> str:
    """Draw leaves around a stem, two to four pairs."""
    pairs = 2 + form[0] % 3
    leaves = "".join(
        f'<path d="M60 {66 - 14 * at}q{side * 6} -20 {side * 28} -20q{-side * 4} 20 {-side * 28} 20z" '
        f"{_fill(bright, (at + (side > 0)) % 2)}/>"
        for at in range(pairs)
        for side in (-1, 1)
    )
    return f'{leaves}<path d="M58 78h4V{60 - 14 * (pairs - 1)}h-4z"/>'


def _bowl(form: bytes, bright: str) -> str:
    """Draw a bowl or pan, with or without handle and band."""
    width, depth = 24 + form[0] % 10, 20 + form[1] % 12
    handle = f'<rect x="{60 + width}" y="41" width="22" height="5" rx="2.5"/>' if form[2] % 2 else ""
    return (
        f'<path d="M{60 - width} 42h{2 * width}a{width} {depth} 0 0 1 {-2 * width} 0z"/>{handle}'
        f'<rect x="{58 - width}" y="37" width="{2 * width + 4}" height="7" rx="3.5" fill="{bright}"/>'
    )


def _bottle(form: bytes, bright: str) -> str:
    """Draw a bottle, jar or glass."""
    width, neck = 13 + form[0] % 9, 5 + form[1] % 5
    return (
        f'<rect x="{60 - neck}" y="14" width="{2 * neck}" height="22" rx="3"/>'
        f'<rect x="{60 - width}" y="32" width="{2 * width}" height="46" rx="{6 + form[2] % 8}"/>'
        f'<rect x="{60 - width}" y="{46 + form[3] % 8}" width="{2 * width}" height="14" fill="{bright}"/>'
    )


def _lamp(form: bytes, bright: str) -> str:
    """Draw a shade on a foot, and its light."""
    top, below = 8 + form[0] % 10, 24 + form[1] % 10
    return (
        f'<circle cx="60" cy="44" r="{26 + form[2] % 8}" fill="{bright}" opacity=".45"/>'
        f'<path d="M{60 - top} 16h{2 * top}l{below - top} 26h{-2 * below}z"/>'
        f'<path d="M58 42h4v30h-4z"/><rect x="44" y="72" width="32" height="5" rx="2.5"/>'
    )


def _cloth(form: bytes, bright: str) -> str:
    """Draw a cloth with stripes."""
    count = 2 + form[0] % 4
    stripes = "".join(
        f'<rect x="30" y="{24 + at * 42 / count:.0f}" width="60" height="{18 / count:.0f}" fill="{bright}"/>'
        for at in range(count)
    )
    return f'<rect x="30" y="18" width="60" height="54" rx="{2 + form[1] % 14}"/>{stripes}'


def _tent(form: bytes, bright: str) -> str:
    """Draw a tent, or two."""
    peak, door = 18 + form[0] % 12, 8 + form[1] % 8
    second = f'<path d="M84 {peak + 18}l22 {54 - peak}H62z" opacity=".55"/>' if form[2] % 2 else ""
    opening = f'<path d="M56 {peak + 16}l{door} {56 - peak}h{-2 * door}z" fill="{bright}"/>'
    return f'{second}<path d="M56 {peak}l36 {72 - peak}H20z"/>{opening}'


def _blocks(form: bytes, bright: str) -> str:
    """Draw stacked blocks."""
    size = 17 + form[0] % 5
    at = [(60 - size, 74 - size), (60, 74 - size), (60 - size // 2 - form[1] % 8, 74 - 2 * size)]
    at += [(60 - size // 2, 74 - 3 * size)] if form[2] % 2 else [(60 + size, 74 - size)]
    return "".join(
        f'<rect x="{x}" y="{y}" width="{size - 1}" height="{size - 1}" rx="3" {_fill(bright, number % 2)}/>'
        for number, (x, y) in enumerate(at)
    )


def _book(form: bytes, bright: str) -> str:
    """Draw a book or a card with lines."""
    lines = "".join(
        f'<rect x="50" y="{32 + 9 * at}" width="{16 + form[at] % 18}" height="3" rx="1.5" fill="{bright}"/>'
        for at in range(2 + form[6] % 3)
    )
    return f'<rect x="36" y="16" width="50" height="60" rx="4"/><path d="M42 16h3v60h-3z" fill="{bright}"/>{lines}'


def _bag(form: bytes, bright: str) -> str:
    """Draw a bag with a handle."""
    width = 22 + form[0] % 12
    return (
        f'<path d="M46 40v-8a14 14 0 0 1 28 0v8" fill="none" stroke="{bright}" stroke-width="{4 + form[1] % 3}"/>'
        f'<rect x="{60 - width}" y="38" width="{2 * width}" height="38" rx="{4 + form[2] % 10}"/>'
        f'<rect x="{60 - width}" y="{48 + form[3] % 10}" width="{2 * width}" height="6" fill="{bright}"/>'
    )


def _rings(form: bytes, bright: str) -> str:
    """Draw rings, one beside the other."""
    radius, apart = 15 + form[0] % 8, 12 + form[1] % 8
    stroke = 'fill="none" stroke-width="6"'
    return (
        f'<g {stroke} stroke="{bright}"><circle cx="{60 + apart}" cy="47" r="{radius}"/></g>'
        f'<circle cx="{60 - apart}" cy="47" r="{radius + 1}"/><circle cx="{60 - apart}" cy="47" r="{radius // 3}" '
        f'fill="{bright}"/>'
    )


def _waves(form: bytes, bright: str) -> str:
    """Draw waves, one below the other."""
    high = 8 + form[0] % 10
    return "".join(
        f'<path d="M24 {32 + 14 * at}q9 {-high} 18 0t18 0t18 0t18 0v6q-9 {high} -18 0t-18 0t-18 0t-18 0z" '
        f"{_fill(bright, at % 2)}/>"
        for at in range(2 + form[1] % 2)
    )


def _fill(bright: str, is_bright: int) -> str:
    """Return the attribute of a part that is bright, nothing for a dark one."""
    return f'fill="{bright}"' if is_bright else ""


SHAPES: dict[str, Callable[[bytes, str], str]] = {
    "leaf": _leaf,
    "bowl": _bowl,
    "bottle": _bottle,
    "lamp": _lamp,
    "cloth": _cloth,
    "tent": _tent,
    "blocks": _blocks,
    "book": _book,
    "bag": _bag,
    "rings": _rings,
    "waves": _waves,
}
