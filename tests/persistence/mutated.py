"""Changed files by the thousand, loaded while every import, open and process is heard of.

    python -m tests.persistence.mutated N M SEED

Files are those of the golden folder. Of N of them bytes, headers and keys are changed: what is not
refused has to say what it said. Of M of them the content is changed, and the checksum is right:
what is not refused has to answer. It prints how many were refused; nothing but a LoadError may come
of any, and nothing may be imported, opened or run.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas  # noqa: F401 (files name their dtypes)
import polars  # noqa: F401
import pyarrow  # noqa: F401

import skvae
from skvae import LoadError, VAETransformer
from skvae.persistence import container
from skvae.persistence.estimators import estimator_of, unpacked
from tests.persistence.hostile import of_other_bytes, of_other_header, of_other_types

NAMES = (
    *("matrix", "pandas", "conv", "batches", "prior-mixture", "likelihood-empirical"),
    *("linear", "stored"),
)
WATCHED = ("import", "exec", "compile", "open")
WATCHED_KINDS = ("socket", "subprocess", "os", "pickle", "ctypes", "shutil", "urllib", "marshal")
FIRST = 100  # mutants before it is listened: some load what is needed once
# How `inspect` reads the signature of a type of Python's own.
SIGNATURE = "(b'def foo("


class Ear:
    """Hears what happens beside loading; it cannot be taken off again, so it is for processes."""

    def __init__(self):
        self.heard = []
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if event in WATCHED or event.split(".")[0] in WATCHED_KINDS:
            said = str(arguments)[:200]
            if not (event == "compile" and said.startswith(SIGNATURE)):
                self.heard.append((event, said))


def originals():
    """Bytes of files by the name of their model."""
    folder = Path(__file__).parents[1] / "golden" / skvae.__version__
    return {name: (folder / f"{name}.skvae").read_bytes() for name in NAMES}


def load(data):
    """The estimator of bytes."""
    return estimator_of(unpacked(data), VAETransformer)


def content(data):
    """All that a file says; a LoadError where its bytes are none."""
    manifest, arrays = container.unpack(data)
    told = {name: (own.dtype.str, own.shape, own.tobytes()) for name, own in arrays.items()}
    return container.canonical(manifest), sorted(told.items())


def is_refused(changed):
    """Whether a file is refused; what loads, answers questions about rows that it makes."""
    if changed is None:
        return True
    try:
        vae = load(changed)
    except LoadError:
        return True
    rows = vae.sample(5, random_state=0)
    vae.inverse_transform(vae.transform(rows))
    vae.score_samples(rows)
    return False


def pairs(files, n, generator):
    """Names of two files, so many times."""
    names = list(files)
    for _ in range(n):
        yield tuple(names[k] for k in generator.integers(0, len(names), 2))


def of_bytes(files, n, seed):
    """How many are refused; others have to say what one of both says: then they are that model."""
    generator = np.random.default_rng(seed)
    known = {name: content(data) for name, data in files.items()}
    n_refused = 0
    for name, other in pairs(files, n, generator):
        change = of_other_header if generator.random() < 0.3 else of_other_bytes
        changed = change(files[name], files[other], generator)
        try:
            found = content(changed)
        except LoadError:
            n_refused += 1
            continue
        assert found in (known[name], known[other]), (name, other, seed)
    return n_refused


def of_content(files, n, seed):
    """How many are refused of those whose checksum is right."""
    generator = np.random.default_rng(seed)
    return sum(
        is_refused(of_other_types(files[name], generator)) for name, _ in pairs(files, n, generator)
    )


def main(n_bytes, n_content, seed):
    warnings.simplefilter("ignore")
    files = originals()
    for data in files.values():
        assert not is_refused(data)
    assert repr(VAETransformer(latent_dim=2))  # as errors have it
    vae = load(files["matrix"])
    for container_of_codes in ("pandas", "polars"):  # which a file may ask for
        vae.set_output(transform=container_of_codes).transform(vae.sample(5, random_state=0))
    of_content(files, FIRST, seed=10**6)
    ear = Ear()
    refused = of_bytes(files, n_bytes, seed), of_content(files, n_content, seed)
    assert not ear.heard, ear.heard[:20]
    return refused


if __name__ == "__main__":
    print(*main(*map(int, sys.argv[1:])))
