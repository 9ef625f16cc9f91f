"""Values and names as SQL has them."""

__all__ = ["literal", "quoted"]


def literal(value: object) -> str:
    """Return a value as a literal of SQL: text, a number, a truth value, or a list of these."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return str(value)


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
