"""Numbers of things in words, the same in messages and on pages."""


def counted(n: int, what: str, several: str = "") -> str:
    """So many things."""
    return f"{n:,} {what if n == 1 else several or what + 's'}"
