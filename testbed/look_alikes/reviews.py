"""Look-alikes of ratings and reviews: Amazon's, goodbooks-10k, BookCrossing and Yelp's."""

import json
from pathlib import Path

from testbed.look_alikes.expected import ITEMS, ROWS, USERS, Expected, LookAlike, rows, write

__all__ = ["REVIEWS"]

_REVIEWS = {"review": ROWS}


def _asin(item: int) -> str:
    return f"B000LAMP0{item}"


def _reviewer(user: int) -> str:
    return f"A2SUAM1J3GNN{user}B"


def _amazon_2018(folder: Path) -> Expected:
    reviews = [
        {
            "overall": 5.0,
            "verified": True,
            "reviewTime": row.time("%m %d, %Y"),
            "reviewerID": _reviewer(row.user),
            "asin": _asin(row.item),
            "reviewText": 'A "long" text, with\nlines',
            "summary": "Title of a review",
            "unixReviewTime": row.seconds,
        }
        for row in rows()
    ]
    reviews[3]["style"] = {"Color:": " Red"}
    products = [
        {
            "category": ["Home", "Lamps", "Desk"] if item != 2 else [],
            "title": f"Lamp {item}",
            "brand": "Oak",
            "price": f"$1{item}.99",
            "asin": _asin(item),
            "main_cat": "Home Department",
        }
        for item in range(ITEMS)
    ]
    write(folder / "Lamps_5.json", [json.dumps(one) for one in reviews])
    write(folder / "meta_Lamps.json", [json.dumps(one) for one in products])
    return Expected(
        types=_REVIEWS,
        titles={_asin(1): "Lamp 1"},
        categories={_asin(1): "Lamps", _asin(2): "Home Department"},
        prices={_asin(1): 11.99},
        features={_asin(1): {"brand": "Oak", "categories": "Home|Lamps|Desk"}},
    )


def _amazon_2014(folder: Path) -> Expected:
    """Write reviews as JSON, and products as the Python code that the publisher ships."""
    reviews = [
        {
            "reviewerID": _reviewer(row.user),
            "asin": _asin(row.item),
            "helpful": [0, 0],
            "overall": 4.0,
            "summary": "Title of a review",
            "unixReviewTime": row.seconds,
        }
        for row in rows()
    ]
    write(folder / "reviews_Lamps_5.json", [json.dumps(one) for one in reviews])
    write(folder / "meta_Lamps.json", ["{'asin': 'B000LAMP01', 'title': 'Lamp 1', 'categories': [['Home', 'Lamps']]}"])
    return Expected(types=_REVIEWS, titles={_asin(1): _asin(1)})


def _amazon_2023(folder: Path) -> Expected:
    reviews = [
        {
            "rating": 5.0,
            "title": "Title of a review",
            "text": "Text",
            "images": [],
            "asin": f"B00VARIANT{n % 5}",
            "parent_asin": _asin(row.item),
            "user_id": f"AHMY5CWJMMK5BJRBBSNLYT3ON{row.user}GA",
            "timestamp": 1000 * row.seconds + 123,
            "verified_purchase": True,
        }
        for n, row in enumerate(rows())
    ]
    products = [
        {
            "main_category": "All Lamps",
            "title": f"Lamp {item}",
            "price": 10.5 + item if item else None,
            "store": "Oak",
            "categories": ["Home", "Lamps"] if item != 2 else [],
            "details": {"Colour": "red"},
            "parent_asin": _asin(item),
        }
        for item in range(ITEMS)
    ]
    write(folder / "Lamps.jsonl", [json.dumps(one) for one in reviews])
    write(folder / "meta_Lamps.jsonl", [json.dumps(one) for one in products])
    return Expected(
        types=_REVIEWS,
        titles={_asin(1): "Lamp 1"},
        categories={_asin(1): "Lamps", _asin(2): "All Lamps"},
        prices={_asin(1): 11.5},
        features={_asin(1): {"brand": "Oak", "categories": "Home|Lamps"}},
    )


def _ratings_2014(folder: Path) -> Expected:
    write(
        folder / "ratings_Lamps.csv", [f"{_reviewer(row.user)},{_asin(row.item)},5.0,{row.seconds}" for row in rows()]
    )
    return Expected(types={"rating": ROWS}, titles={_asin(3): _asin(3)})


def _ratings_2018(folder: Path) -> Expected:
    write(folder / "Lamps.csv", [f"{_asin(row.item)},{_reviewer(row.user)},5.0,{row.seconds}" for row in rows()])
    return Expected(types={"rating": ROWS}, titles={_asin(3): _asin(3)})


def _goodbooks(folder: Path) -> Expected:
    write(folder / "ratings.csv", ["user_id,book_id,rating", *(f"{row.user},{row.item},4" for row in rows())])
    books = [
        f'{item},27670{item},2767052,Ann Ash,"Book, the {item}th","Book, the {item}th (Series, #1)",eng'
        for item in range(ITEMS)
    ]
    header = "book_id,goodreads_book_id,best_book_id,authors,original_title,title,language_code"
    write(folder / "books.csv", [header, *books])
    return Expected(
        types={"rating": ROWS},
        first=None,
        last=None,
        titles={"3": "Book, the 3th (Series, #1)"},
        features={"3": {"authors": "Ann Ash", "language": "eng"}},
        orders={"0": ["0", "6", "4", "2"]},
    )


def _crossing(folder: Path) -> Expected:
    ratings = [f'"{27672 + row.user}";"034545104{row.item}";"{n % 2 * 8}"' for n, row in enumerate(rows())]
    write(folder / "BX-Book-Ratings.csv", ['"User-ID";"ISBN";"Book-Rating"', *ratings], "latin-1")
    books = [
        rf'"034545104{item}";"Café \"{item}\"; a novel &amp; more";"Zoë Ash";"2001";"Oak";"http://x";"http://y";"http://z"'
        for item in range(ITEMS)
    ]
    header = (
        '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S";"Image-URL-M";"Image-URL-L"'
    )
    write(folder / "BX-Books.csv", [header, *books], "latin-1")
    people = [f'"{27672 + user}";"málaga, andalucía, spain";NULL' for user in range(USERS)]
    write(folder / "BX-Users.csv", ['"User-ID";"Location";"Age"', *people], "latin-1")
    return Expected(
        types={"implicit": 12, "rating": 12},
        first=None,
        last=None,
        titles={"0345451043": 'Café "3"; a novel &amp; more'},
        features={"0345451043": {"author": "Zoë Ash"}},
        profiles={"27673": {"country": "spain"}},
    )


def _crossing_commas(folder: Path) -> Expected:
    ratings = [f"{27672 + row.user},034545104{row.item},{n % 2 * 8}" for n, row in enumerate(rows())]
    write(folder / "Ratings.csv", ["User-ID,ISBN,Book-Rating", *ratings])
    books = [f'034545104{item},"Café, ""{item}""",Zoë Ash,2001,Oak,x,y,z' for item in range(ITEMS)]
    header = "ISBN,Book-Title,Book-Author,Year-Of-Publication,Publisher,Image-URL-S,Image-URL-M,Image-URL-L"
    write(folder / "Books.csv", [header, *books])
    return Expected(
        types={"implicit": 12, "rating": 12},
        first=None,
        last=None,
        titles={"0345451043": 'Café, "3"'},
    )


def _yelp(folder: Path) -> Expected:
    reviews = [
        {
            "review_id": f"r{n}",
            "user_id": f"user_-{row.user}",
            "business_id": f"place_-{row.item}",
            "stars": 4.0,
            "useful": 0,
            "text": "Good,\nvery",
            "date": row.time("%Y-%m-%d %H:%M:%S"),
        }
        for n, row in enumerate(rows())
    ]
    places = [
        {
            "business_id": f"place_-{item}",
            "name": f"Café {item}",
            "city": "Tucson",
            "stars": 4.5,
            "attributes": {"WiFi": "u'free'"} if item else None,
            "categories": "Cafes, Food, Tea" if item else None,
        }
        for item in range(ITEMS)
    ]
    write(folder / "yelp_academic_dataset_review.json", [json.dumps(one) for one in reviews])
    write(folder / "yelp_academic_dataset_business.json", [json.dumps(one) for one in places])
    write(folder / "yelp_academic_dataset_tip.json", ['{"user_id": "a", "business_id": "b", "text": "c", "date": "d"}'])
    return Expected(
        types=_REVIEWS,
        titles={"place_-3": "Café 3"},
        categories={"place_-3": "Cafes", "place_-0": ""},
        features={"place_-3": {"categories": "Cafes|Food|Tea", "city": "Tucson"}},
    )


REVIEWS = (
    LookAlike("Amazon 2014", "amazon", "reviews_Lamps_5.json", _amazon_2014),
    LookAlike("Amazon 2018", "amazon", "Lamps_5.json", _amazon_2018),
    LookAlike("Amazon 2023", "amazon", "Lamps.jsonl", _amazon_2023),
    LookAlike("Amazon ratings 2014", "amazon-ratings", "ratings_Lamps.csv", _ratings_2014, by_folder=False),
    LookAlike("Amazon ratings 2018", "amazon-ratings", "Lamps.csv", _ratings_2018, by_folder=False),
    LookAlike("goodbooks", "goodbooks", "ratings.csv", _goodbooks),
    LookAlike("BookCrossing", "bookcrossing", "BX-Book-Ratings.csv", _crossing),
    LookAlike("BookCrossing with commas", "bookcrossing", "Ratings.csv", _crossing_commas),
    LookAlike("Yelp", "yelp", "yelp_academic_dataset_review.json", _yelp),
)
