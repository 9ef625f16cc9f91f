"""Products as HTML: cards, shelves of cards, and what has left. Every text is escaped here."""

from html import escape

from demo.drawing.picture import data_uri, picture
from demo.drawing.view import Product, Shelf, Shown
from demo.drawing.words import price

__all__ = ["CSS", "card", "grid", "interest_colour", "panel"]

ACTS = {"cart": "Cart", "purchase": "Buy"}  # event type -> label; a click on the picture is a "click"
REFUSE = "Not for me"

CSS = """
.ms-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 10px; }
.ms-card { border: 1px solid #dbe5e2; border-radius: 10px; overflow: hidden; background: #fff; position: relative;
  display: flex; flex-direction: column; transition: box-shadow .15s, transform .15s; }
.ms-card:hover { box-shadow: 0 4px 14px rgba(22, 48, 43, .14); transform: translateY(-1px); }
.ms-card button { font: inherit; color: inherit; cursor: pointer; border: 0; background: none; padding: 0; }
.ms-look { display: flex; flex-direction: column; text-align: left; flex: 1; }
.ms-look img { display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: cover; }
.ms-title { display: block; font-size: 13px; font-weight: 600; line-height: 1.25; padding: 7px 9px 0; }
.ms-meta { display: block; font-size: 12px; color: #5b716b; padding: 2px 9px 6px; }
.ms-acts { display: flex; border-top: 1px solid #e8efed; }
.ms-acts button { flex: 1; font-size: 12px; padding: 5px 0; color: #0f766e; }
.ms-acts button + button { border-left: 1px solid #e8efed; }
.ms-acts .ms-refuse { flex: 0 0 26px; color: #5b716b; }
.ms-acts button:hover { background: #e6f2f0; }
.ms-card button:focus-visible { outline: 2px solid #0f766e; outline-offset: -2px; }
.ms-card.ms-pressed { opacity: .55; }
.ms-new { animation: ms-enter .7s ease-out; border-color: #0f766e; }
.ms-new::after { content: "new"; position: absolute; top: 6px; right: 6px; font-size: 10.5px; font-weight: 700;
  background: #0f766e; color: #fff; border-radius: 999px; padding: 1px 7px; }
@keyframes ms-enter { from { transform: scale(.92); box-shadow: 0 0 0 5px rgba(15, 118, 110, .4); } }
.ms-shelf { margin-bottom: 14px; padding: 10px 12px 12px; border-radius: 12px; background: #f3f7f6;
  border-left: 5px solid var(--ms-interest); }
.ms-shelf h4 { margin: 0 0 8px; padding: 0; font-size: 14px; line-height: 1.35; font-weight: 400; }
.ms-shelf h4 b { font-weight: 650; }
.ms-share { float: right; font-size: 12px; color: #5b716b; margin-left: 10px; }
.ms-shelf .ms-cards { grid-template-columns: repeat(4, minmax(0, 1fr)); }
.ms-narrow .ms-shelf .ms-cards { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.ms-left { font-size: 12px; color: #5b716b; display: flex; flex-wrap: wrap; align-items: center; gap: 5px; }
.ms-left img { width: 34px; border-radius: 5px; filter: grayscale(1); opacity: .55; }
.ms-moved { margin: 3px 2px 8px; line-height: 1.25; }
.ms-none { color: #5b716b; font-size: 13px; }
@media (prefers-reduced-motion: reduce) { .ms-new { animation: none; } }
"""
INTEREST_COLOURS = ("#0f766e", "#c2410c", "#6d28d9", "#0369a1", "#be185d", "#4d7c0f", "#a16207", "#475569")
POPULAR_COLOUR = "#94a3b8"


def card(product: Product, entered: bool = False, refusal: str | None = None) -> str:
    """Draw one product: its picture and title are a button, cart and buy are two more.

    Parameters
    ----------
    refusal : event type of a third one, by which the product is not shown again; None: there is no such button.
    """
    item, title = escape(product.item_id), escape(product.title)
    meta = " · ".join(part for part in (escape(product.category), price(product.price)) if part) or "&nbsp;"
    acts = "".join(
        f'<button data-act="{act}" data-item="{item}" aria-label="{label}: {title}">{label}</button>'
        for act, label in ACTS.items()
    )
    if refusal is not None:
        act = escape(refusal)
        said = f'title="{REFUSE}" aria-label="{REFUSE}: {title}"'
        acts += f'<button class="ms-refuse" data-act="{act}" data-item="{item}" {said}>✕</button>'
    because = f' title="People who took {escape(product.because)} took this, too"' if product.because else ""
    return (
        f'<article class="ms-card{" ms-new" if entered else ""}" data-card="{item}">'
        f'<button class="ms-look" data-act="click" data-item="{item}"{because}>{_image(product)}'
        f'<span class="ms-title">{title}</span><span class="ms-meta">{meta}</span></button>'
        f'<div class="ms-acts">{acts}</div></article>'
    )


def _image(product: Product) -> str:
    """Draw a product's picture."""
    category = f" ({escape(product.category)})" if product.category else ""
    source = data_uri(picture(product.title, product.category))
    return f'<img alt="Drawing of {escape(product.title)}{category}" src="{source}"/>'


def grid(products: list[Product]) -> str:
    """Draw products of the catalogue."""
    if not products:
        return '<p class="ms-none">No product matches.</p>'
    return f'<div class="ms-cards">{"".join(card(product) for product in products)}</div>'


def panel(shown: Shown, narrow: bool = False, refusal: str | None = None) -> str:
    """Draw the shelves of a visitor, and what has left them; `refusal` as of a card."""
    shelves = "".join(_shelf_of(shelf, shown.entered, refusal) for shelf in shown.shelves)
    gone = "".join(_image(product) for product in shown.left)
    left = f'<p class="ms-left"><span>Left just now:</span>{gone}</p>' if gone else ""
    return f'<div class="ms-panel{" ms-narrow" if narrow else ""}">{shelves}{left}</div>'


def _shelf_of(shelf: Shelf, entered: frozenset[str], refusal: str | None) -> str:
    """Draw one interest: what made it, its share, and what it brings."""
    cards = "".join(card(product, product.item_id in entered, refusal) for product in shelf.products)
    brought = f'<div class="ms-cards">{cards}</div>' if cards else NOTHING
    return (
        f'<section class="ms-shelf" data-shelf="{escape(shelf.key)}" style="--ms-interest: {_colour_of(shelf)}">'
        f"<h4>{_heading(shelf)}</h4>{brought}</section>"
    )


NOTHING = '<p class="ms-none">None of the top candidates comes from this interest.</p>'


def _heading(shelf: Shelf) -> str:
    """Write what a shelf is made of."""
    if not shelf.made_by:
        return "<b>Popular now</b>"
    share = f'<span class="ms-share">{100 * shelf.importance:.0f} % of your behaviours</span>'
    theme = escape(shelf.theme.words)
    things = f"From your <b>{theme}</b> things: " if theme else "From your "
    return f"{share}{things}{escape(', '.join(shelf.made_by))}"


def _colour_of(shelf: Shelf) -> str:
    """Return the colour of an interest, the same here and on the map."""
    return POPULAR_COLOUR if shelf.interest < 0 else interest_colour(shelf.interest)


def interest_colour(number: int) -> str:
    """Return the colour of a place in a user's interests."""
    return INTEREST_COLOURS[number % len(INTEREST_COLOURS)]
