"""The bytes of a file: safetensors, whose one metadata value is a manifest in strict JSON.

What is read was written by others: it is checked before anything is allocated by what it says.
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np
import safetensors
import safetensors.numpy

NAME, MAJOR, MINOR = "skvae", 1, 0  # of the format
MOST_HEADER = 2**24  # bytes
MOST_BYTES = 2**34  # of a file
MOST_ARRAYS = 20_000
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_LENGTH = 8  # bytes that tell the length of the header
_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4",
    "I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

Arrays = dict[str, np.ndarray]


class LoadError(ValueError):
    """The file was not written by `save`, or is damaged. The message says what is wrong."""


class Entry(NamedTuple):
    """What a header says of an array."""

    dtype: np.dtype
    shape: tuple[int, ...]
    first: int  # byte of the data
    last: int


class Header(NamedTuple):
    """What the first part of a file says."""

    manifest: dict[str, Any]
    entries: dict[str, Entry]
    length: int  # bytes before the data


def pack(manifest: Mapping[str, Any], arrays: Arrays) -> bytes:
    """The bytes of a file.

    Raises
    ------
    ValueError
        If the manifest is too large to be read again.
    """
    own = {name: np.asarray(array, _stored(array.dtype), "C") for name, array in arrays.items()}
    views = {name: own[name].reshape(-1).view(np.uint8).data for name in own}
    entries = {name: (own[name].dtype, own[name].shape) for name in own}
    text = canonical({**manifest, "sha256": digest(manifest, entries, views)})
    # Larger numbers come first, as safetensors has it: all are then aligned.
    names = sorted(own, key=lambda name: (-own[name].itemsize, name))
    header = _header_text(text, {name: own[name] for name in names})
    if len(header) > MOST_HEADER:
        raise ValueError(
            f"the names, levels and options of this model take {len(text)} bytes, but a file can "
            f"hold {MOST_HEADER} bytes of them: leave out columns with that many levels."
        )
    # Joined once: the library's own writer would hold all arrays three times.
    length = len(header).to_bytes(_LENGTH, "little")
    return b"".join([length, header, *(views[name] for name in names)])


def _header_text(manifest: str, arrays: Arrays) -> bytes:
    """The header of a manifest and of arrays that follow one another, of whole words."""
    told: dict[str, Any] = {"__metadata__": {NAME: manifest}}
    place = 0
    for name, own in arrays.items():
        places = [place, place + own.nbytes]
        dtype = _NAMES.get(own.dtype.str)
        if dtype is None:
            raise ValueError(f"the array {name} is of the dtype {own.dtype}, which is not kept.")
        told[name] = {"dtype": dtype, "shape": list(own.shape), "data_offsets": places}
        place = places[1]
    text = canonical(told).encode()
    return text + b" " * (-len(text) % _LENGTH)


def _stored(dtype: np.dtype) -> np.dtype:
    """The dtype in which an array is written: the least byte comes first."""
    return dtype.newbyteorder("<")


def canonical(value: Any) -> str:
    """The one way to write a value in JSON."""
    return _ENCODER.encode(value)


def digest(
    manifest: Mapping[str, Any],
    entries: Mapping[str, tuple[Any, ...]],
    data: Mapping[str, memoryview],
) -> str:
    """SHA-256 of a manifest and of arrays with their names, dtypes and shapes."""
    found = hashlib.sha256(canonical(manifest).encode())
    for name in sorted(entries):
        dtype, shape = entries[name][:2]
        found.update(canonical([name, dtype.str, list(shape)]).encode())
        found.update(data[name])
    return found.hexdigest()


def read(path: str | PathLike[str]) -> bytes:
    """All bytes of a file.

    Raises
    ------
    LoadError
        If it is no file, too large, or begins as no file of this kind.
    """
    with _opened(path) as (file, size):
        start = file.read(_LENGTH)
        _header_length(start, size)
        return start + file.read(size - len(start))


class HeaderOnly:
    """A file of which the header was read, and single arrays are when they are asked for.

    The checksum, which is of all arrays, is not compared.

    Parameters
    ----------
    path : str or path-like
        The file.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = path
        with _opened(path) as (file, self.n_bytes):
            start = file.read(_LENGTH)
            head = start + file.read(_header_length(start, self.n_bytes))
        self.header = header_of(head, self.n_bytes)

    def array(self, name: str) -> np.ndarray:
        """One array of the file."""
        own = self.header.entries[name]
        with _opened(self.path) as (file, _):
            file.seek(self.header.length + own.first)
            data = file.read(own.last - own.first)
        if len(data) != own.last - own.first:
            raise LoadError("the file ended early: it was changed while it was read.")
        return np.frombuffer(data, own.dtype).reshape(own.shape)


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[tuple[IO[bytes], int]]:
    """A file that is open, and its size; of pipes and devices, nothing that one would wait for."""
    handle = os.open(path, os.O_RDONLY | _AT_ONCE)
    with os.fdopen(handle, "rb", closefd=True) if _is_file(handle) else _refused(handle) as file:
        size = os.fstat(handle).st_size
        if size > MOST_BYTES:
            raise LoadError(f"the file has {size} bytes; models have {MOST_BYTES} at most.")
        yield file, size


def _is_file(handle: int) -> bool:
    return stat.S_ISREG(os.fstat(handle).st_mode)


def _refused(handle: int) -> NoReturn:
    os.close(handle)
    raise LoadError("this is a folder, a pipe or a device, not a file.")


def _header_length(start: bytes, size: int) -> int:
    """What the first bytes say of the header's length."""
    length = int.from_bytes(start, "little")
    if len(start) < _LENGTH or not 2 <= length <= size - _LENGTH:
        raise LoadError("this is not a skvae file, or an incomplete one.")
    if length > MOST_HEADER:
        raise LoadError(f"the header has {length} bytes; {MOST_HEADER} are allowed.")
    return length


def unpack(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """The manifest and the arrays of a file whose checksum is right.

    Raises
    ------
    LoadError
        If anything in it is not as `pack` has it.
    """
    header = header_of(data, len(data))
    manifest = dict(header.manifest)
    told = manifest.pop("sha256", None)
    whole = memoryview(data)[header.length :]
    parts = {name: whole[own.first : own.last] for name, own in header.entries.items()}
    if told != digest(manifest, header.entries, parts):
        raise LoadError("the checksum does not match the content: the file was changed.")
    try:
        views = safetensors.numpy.load(data)
    except safetensors.SafetensorError as error:
        raise LoadError(f"safetensors refuses the file: {error}.") from error
    return manifest, {name: np.require(view, requirements="W") for name, view in views.items()}


def header_of(data: bytes, size: int) -> Header:
    """What the header says, checked against the size of the file.

    Raises
    ------
    LoadError
        If it says what cannot be.
    """
    length = _header_length(data[:_LENGTH], size)
    text = data[_LENGTH : _LENGTH + length]
    if text.count(b'"data_offsets"') > MOST_ARRAYS:
        raise LoadError(f"the file has more than {MOST_ARRAYS} arrays.")
    found = strict(text)
    if not isinstance(found, dict):
        raise LoadError("the header is no object of JSON.")
    metadata = found.pop("__metadata__", None)
    if not isinstance(metadata, dict) or list(metadata) != [NAME]:
        raise LoadError("this is not a skvae file: its metadata has no manifest, or more than one.")
    manifest = _manifest(metadata[NAME])
    entries = {name: _entry(name, value) for name, value in found.items()}
    place = 0
    for name, own in sorted(entries.items(), key=lambda pair: pair[1][2:]):
        if own.first != place:
            raise LoadError(f"the array {name!r:.80} overlaps another, or leaves a hole.")
        place = own.last
    if _LENGTH + length + place != size:
        raise LoadError(
            "the arrays take more or fewer bytes than the file has: the file is incomplete."
        )
    return Header(manifest, entries, _LENGTH + length)


def strict(data: bytes | str) -> Any:
    """A value of JSON, which has no key twice and no number that is not finite.

    Raises
    ------
    LoadError
        If it is none.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
        )
    except RecursionError:
        raise LoadError("the header is nested too deeply.") from None
    except LoadError:
        raise
    except ValueError as error:
        raise LoadError(f"the header is no JSON: {error!s:.100}.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise LoadError("a key occurs twice in the header.")
    return found


def _constant(name: str) -> float:
    raise LoadError(f"{name} is no number of JSON.")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise LoadError(f"{text:.20} is no number that can be held.")
    return number


def _manifest(text: Any) -> dict[str, Any]:
    """The manifest, of a version that is known."""
    manifest = strict(text) if isinstance(text, str) else None
    if not isinstance(manifest, dict) or canonical(manifest) != text:
        raise LoadError("the manifest is not written as skvae writes it.")
    told = manifest.get("format")
    if not isinstance(told, dict) or told.get("name") != NAME:
        raise LoadError("the manifest is none of skvae.")
    major, versions = told.get("major"), manifest.get("versions")
    if type(major) is not int or not isinstance(versions, dict):
        raise LoadError("the manifest does not tell its version.")
    if major != MAJOR:
        raise LoadError(
            f"the file has format {major}, but this skvae reads format {MAJOR}: load it with "
            f"skvae {versions.get('skvae')!r:.40} or later."
        )
    return manifest


def _entry(name: str, value: Any) -> Entry:
    """What the header says of an array, if it can be."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise LoadError(f"the header does not tell the array {name!r:.80}.")
    dtype, shape, place = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise LoadError(f"the array {name!r:.80} is of the dtype {dtype!r:.20}, which is not kept.")
    if not (_are_sizes(shape) and len(shape) <= 8 and _are_sizes(place) and len(place) == 2):
        raise LoadError(f"the array {name!r:.80} has sizes that cannot be.")
    own = np.dtype(_DTYPES[dtype])
    if math.prod(shape) * own.itemsize != place[1] - place[0]:
        raise LoadError(f"the array {name!r:.80} has not the bytes that its shape asks for.")
    return Entry(own, tuple(shape), *place)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**48 for n in value)
