"""Files that somebody changed: bytes, headers, manifests, and models with a right checksum."""

import copy
import json
import re

import numpy as np
import safetensors.numpy

from skvae.persistence import container

START = 8  # bytes that tell the header's length


def split(data):
    """Header and arrays of a file, as bytes."""
    length = int.from_bytes(data[:START], "little")
    return data[START : START + length], data[START + length :]


def joined(header, arrays):
    """A file of a header, as a text or an object of JSON, and of bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(START, "little") + text + arrays


def with_header(data, change):
    """The file with another header; the rest as it is."""
    header, arrays = split(data)
    found = json.loads(header)
    return joined(change(found) or found, arrays)


def signed(data, change):
    """The file with another manifest and other arrays, and a checksum that is right."""
    header = json.loads(split(data)[0])
    manifest = json.loads(header["__metadata__"]["skvae"])
    arrays = {name: np.array(own) for name, own in safetensors.numpy.load(data).items()}
    manifest.pop("sha256")
    change(manifest, arrays)
    try:
        return container.pack(manifest, arrays)
    except ValueError:  # which is no file that anybody could write
        return None


def nodes(tree, path=()):
    """All places of a tree of JSON, from the root."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, own in items:
        if isinstance(own, dict | list):
            yield from nodes(own, (*path, key))
        else:
            yield (*path, key)


def at(tree, path):
    """What is at a place."""
    for key in path:
        tree = tree[key]
    return tree


STRANGE = [
    None, True, -1, 0, 1, 2**40, 2**70, -1.5, 1e300, "", "x", "../../etc/passwd", [], {}, [[]],
    {"type": "Popen", "parts": {}}, {"array": "nothing"}, {"float": "nan"}, {"same": "x"},
    {"dtype": "|V9999999999"}, {"tuple": []}, {"scalar": "<f8", "value": 1.0}, {"dtype": "|O"},
    {"objects": [], "shape": [0]}, {"dict": []}, {"bytes": "00"}, {"float": "inf"},
]  # fmt: skip


def of_other_types(data, generator):
    """The file with one place of its manifest, or one array, changed; the checksum is right."""

    def change(manifest, arrays):
        if arrays and generator.random() < 0.3:
            _change_array(arrays, generator)
            return
        own = {key: manifest[key] for key in ("class", "parameters", "learned", "test")}
        places = [place for place in nodes(own) if place]
        place = places[generator.integers(len(places))]
        parent, key = at(manifest, place[:-1]), place[-1]
        chance = generator.random()
        if chance < 0.15:
            del parent[key]
        elif chance < 0.3:  # what is somewhere else
            other = places[generator.integers(len(places))]
            parent[key] = copy.deepcopy(at(manifest, other))
        elif chance < 0.5 and type(parent[key]) in (int, float):
            parent[key] = _other_number(parent[key], generator)
        else:
            parent[key] = STRANGE[generator.integers(len(STRANGE))]

    return signed(data, change)


def _other_number(number, generator):
    chosen = [number + 1, number - 1, -number, number * 10**6, 0, 2**31, 2**62, 0.5, float(number)]
    return chosen[generator.integers(len(chosen))]


def _change_array(arrays, generator):
    name = sorted(arrays)[generator.integers(len(arrays))]
    own = arrays[name]
    flat = own.reshape(-1)
    kind = generator.integers(8)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays["other"] = arrays.pop(name)
    elif kind == 2:
        arrays[name] = own.reshape(1, *own.shape)
    elif kind == 3:
        arrays[name] = flat[:-1].copy()
    elif kind == 4:
        arrays[name] = own.astype([np.float32, np.int64, np.float64, bool][generator.integers(4)])
    elif kind == 5 and own.dtype.kind == "f" and own.size:
        flat[generator.integers(own.size)] = [np.nan, np.inf, -1.0, 0.0, 1e300][
            generator.integers(5)
        ]
    elif kind == 6 and own.dtype.kind in "iu" and own.size:
        flat[generator.integers(own.size)] = [-1, 0, 100, 2**15][generator.integers(4)] % 127
    else:
        arrays[name] = np.zeros((0, *own.shape), own.dtype)


EXTREMES = [
    b"0", b"-1", b"-0", b"1.5", b"1e999", b"NaN", b"-Infinity", b"2147483648", b"4294967296",
    b"9223372036854775807", b"18446744073709551616", b"1" * 5000, b"1e308", b"null", b"[]", b'""',
]  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def of_other_header(data, other, generator):
    """The file with keys of its header there twice, missing, or of another; or other numbers."""
    text, arrays = split(data)
    kind = generator.integers(5)
    if kind == 0:  # a number of the header or the manifest
        places = list(_NUMBER.finditer(text))
        place = places[generator.integers(len(places))]
        number = EXTREMES[generator.integers(len(EXTREMES))]
        return joined(text[: place.start()] + number + text[place.end() :], arrays)
    pairs = [list(pair) for pair in json.loads(text).items()]
    own, second = (int(n) for n in generator.integers(0, len(pairs), 2))
    if kind == 1:
        pairs.insert(second, copy.deepcopy(pairs[own]))
    elif kind == 2:
        del pairs[own]
    elif kind == 3:  # what another key says
        pairs[own][1] = pairs[second][1]
    else:  # what another file says of it, or of another key
        theirs = json.loads(split(other)[0])
        name = pairs[own][0]
        pairs[own][1] = theirs.get(name, theirs["__metadata__"])
    written = ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs)
    return joined(b"{" + written.encode() + b"}", arrays)


def of_other_bytes(data, other, generator):
    """The file with bits, bytes or parts changed, cut, or taken of another file."""
    found = bytearray(data)
    header = START + len(split(data)[0])
    kind = generator.integers(6)
    if kind == 0:  # a bit anywhere
        found[generator.integers(len(found))] ^= 1 << int(generator.integers(8))
    elif kind == 1:  # a byte of the header
        found[generator.integers(header)] = int(generator.integers(256))
    elif kind == 2:  # a part
        found = found[: generator.integers(len(found))]
    elif kind == 3:  # of two files
        place = int(generator.integers(min(len(data), len(other))))
        found = found[:place] + other[place:]
    elif kind == 4:  # a piece that is there twice, or missing
        first, last = sorted(generator.integers(0, len(found), 2))
        found[first:last] = found[first:last] * int(generator.integers(3))
    else:  # a number or word of the header
        text = data[:header]
        words = [b"0", b"1", b"-", b"null", b"[", b"{", b'"', b",", b"F64", b"e999", b"\\u0000"]
        first, last = sorted(generator.integers(START, header, 2))
        word = words[generator.integers(len(words))]
        last = first + min(last - first, len(word))
        found = bytearray(text[:first] + word + text[last:] + data[header:])
    return bytes(found)
