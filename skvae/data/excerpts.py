"""Short forms of values: whatever a cell or a name holds, a message about it can be read.

`excerpt` is for one value and `excerpts` for several. `label` is the name of a column where others
write it into their messages.
"""

import reprlib
from collections.abc import Iterable
from itertools import islice

_MOST_CHARACTERS = 60
_MOST_VALUES = 10
_LARGEST = 10**18


class _Excerpts(reprlib.Repr):
    def __init__(self, longest: int):
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = longest

    def repr_int(self, x, level):
        try:
            return super().repr_int(x, level)
        except ValueError:  # Python writes no integers of thousands of digits
            return f"an integer of {x.bit_length()} bits"


_ALONE, _AMONG_OTHERS = _Excerpts(_MOST_CHARACTERS), _Excerpts(_MOST_CHARACTERS // 2)


def excerpt(value) -> str:
    """The representation of a value, cut in the middle where it is long."""
    return _cut(_ALONE.repr(value), 2 * _MOST_CHARACTERS)


def excerpts(values: Iterable) -> str:
    """The same of several values, of which the first are shown."""
    shown = list(islice(iter(values), _MOST_VALUES + 1))
    words = [_cut(_AMONG_OTHERS.repr(value), _MOST_CHARACTERS) for value in shown[:_MOST_VALUES]]
    return f"[{', '.join(words)}{', ...' if len(shown) > _MOST_VALUES else ''}]"


def label(name):
    """The name of a column, or text that stands for it where it is long."""
    if type(name) is int and -_LARGEST < name < _LARGEST:  # most are, where there are thousands
        return name
    if isinstance(name, str):
        return _cut(name, _MOST_CHARACTERS)
    words = excerpt(name)
    return words if "..." in words or type(name) is int else name


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    kept = (longest - 3) // 2
    return f"{text[:kept]}...{text[-kept:]}"
