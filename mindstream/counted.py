"""Numbers of things, in words."""

__all__ = ["counted"]


def counted(count: int, one: str, several: str = "") -> str:
    """Write a number of things in words, such as "1 user" and "1,200 users".

    Parameters
    ----------
    several : the plural; the singular with an s where it is left out.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
