"""What a page carries: a tree of JSON values and the arrays in it, compressed, as letters.

Compressed and written in base64 it holds no sign that HTML knows: whatever names and cells say,
it stays data. `templates/unpack.js` reads it.
"""

import base64
import gzip
import json
from typing import Any

import numpy as np

# Numbers that browsers have arrays of.
_KINDS = {
    "u1": "Uint8Array",
    "u2": "Uint16Array",
    "i4": "Int32Array",
    "f4": "Float32Array",
    "f8": "Float64Array",
}
_ALIGNED = 8  # bytes, as the widest numbers need them


def packed(tree: Any) -> str:
    """A tree of dicts, lists, numbers, text and arrays, as letters."""
    arrays: list[bytes] = []
    words = json.dumps(_told(tree, arrays), allow_nan=False).encode()
    words += b" " * (-len(words) % _ALIGNED)
    head = np.array([len(words), 0], "<u4").tobytes()
    return letters(head + words + b"".join(arrays))


def letters(content: bytes) -> str:
    """Bytes, compressed, in base64; the same bytes give the same letters."""
    return base64.b64encode(gzip.compress(content, compresslevel=9, mtime=0)).decode()


def _told(value: Any, arrays: list[bytes]) -> Any:
    """The tree with a place among the arrays where there is one."""
    if isinstance(value, np.ndarray):
        return _placed(value, arrays)
    if isinstance(value, dict):
        return {str(key): _told(own, arrays) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_told(own, arrays) for own in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _placed(array: np.ndarray, arrays: list[bytes]) -> dict[str, Any]:
    content = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
    place = {
        "array": _KINDS[array.dtype.str[1:]],
        "start": sum(map(len, arrays)),
        "length": array.size,
    }
    arrays.append(content + bytes(-len(content) % _ALIGNED))
    return place
