"""No file does anything but load, or be refused by a LoadError, at once and with little memory."""

import gzip
import io
import json
import os
import pickle
import resource
import time
import warnings
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

import skvae
from skvae import LoadError, VAETransformer
from skvae.persistence import container
from tests.persistence.hostile import joined, signed, split, with_header
from tests.persistence.mutated import Ear, load, originals
from tests.persistence.mutated import main as mutants
from tests.processes import apart

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def files():
    """Bytes of files by the name of their model."""
    found = originals()
    return {"matrix": found["matrix"], "table": found["pandas"]}


@pytest.fixture(scope="module")
def data(files):
    return files["matrix"]


def refused(data, match=None):
    with pytest.raises(LoadError, match=match):
        load(data)


def pickled():
    class Boom:
        def __reduce__(self):
            return os.system, ("echo this was run",)

    Boom.__qualname__ = "Boom"
    return pickle.dumps(Boom(), protocol=4)


def of_joblib():
    file = io.BytesIO()
    joblib.dump({"a": np.zeros(100)}, file)
    return file.getvalue()


def of_torch():
    file = io.BytesIO()
    torch.save({"a": torch.zeros(10)}, file)
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(10**7))
    return file.getvalue()


FOREIGN = {
    "nothing": lambda: b"",
    "seven bytes": lambda: b"1234567",
    "eight zeros": lambda: bytes(8),
    "pickle": pickled,
    "old pickle": lambda: b"cos\nsystem\n(S'true'\ntR.",
    "joblib": of_joblib,
    "torch": of_torch,
    "zip": zipped,
    "gzip": lambda: gzip.compress(bytes(10**7)),
    "html": lambda: b"<!DOCTYPE html><html>" * 50,
    "length 2^63": lambda: (2**63).to_bytes(8, "little") + b"{}" * 50,
    "long header": lambda: (2**25).to_bytes(8, "little") + bytes(2**25 + 8),
    "deep": lambda: joined(b"[" * 100_000 + b"]" * 100_000, b""),
    "deep object": lambda: joined(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b""),
    "number": lambda: joined(b"123456", b""),
    "long number": lambda: joined(b'{"a":' + b"1" * 10_000 + b"}", b""),
    "no text": lambda: joined(b'{"\xff\xfe": 1}', b""),
    "other safetensors": lambda: joined(
        {"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}, b""
    ),
    "empty arrays": lambda: joined(
        {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(200_000)},
        b"",
    ),
}


# What is told: of the check that comes first, which later ones would hide.
REASONS = {
    "too large": "sizes that cannot be",
    "none of 2^60": "sizes that cannot be",
    "overflow": "not the bytes that its shape",
    "negative": "sizes that cannot be",
    "half": "sizes that cannot be",
    "unknown dtype": "'C64', which is not kept",
    "no offsets": "does not tell the array",
    "a list": "no object",
    "more metadata": "or more than one",
    "manifest no text": "not written as",
    "manifest a number": "not written as",
    "one more array": "checksum",
    "a parameter more": "unknown parameter '__class__'",
    "latent_dim=-1": "The 'latent_dim' parameter",
    "device": "The 'device' parameter",
    "component of another table": "The 'prior' parameter",
    "other class": "holds a 'os.system'",
    "one part more": "has, or lacks, 'code'",
    "one attribute more": "'transform' is none that a fit leaves",
    "one attribute fewer": "lacks the attribute 'n_features_in_'",
    "no model": "holds no fitted model",
    "many components": "^n_components",
    "longer mean": "^the shape of",
    "two likelihoods of a column": "^the likelihoods of columns",
    "wide layer": "hidden_layer_sizes",
    "wide layers": "encoder.0.weight",
    "many layers": "hidden_layer_sizes",
    "other layers": "shape of the weight 'encoder.0.weight'",
    "many codes": "^latent_dim",
    "fewer codes": "^latent_dim",
    "batches": "batch_cells",
    "kept": "^kept and",
    "weight of the start": "^kept and",
    "one weight more": "is none of the model's",
    "format of others": "none of skvae",
    "scale of 0": "^scale",
    "scale below 0": "^scale",
    "noise of 0": "^noise_variance",
    "much noise": "^noise_variance",
    "NaN": "not finite",
    "infinite": "not finite",
    "whole numbers": "dtype of the weight",
    "half precision": "dtype of the weight",
    "one array more": "belongs to nothing",
    "other answers": "codes of the model differ",
    "order of codes": "^the order",
    "mean of none": "^mean",
    "owner": "^owner",
    "owner below 0": "^owner",
    "columns": "^columns",
    "levels": "^the number of levels",
    "noise": "^noise",
    "loadings": "^loadings",
    "nothing": "an incomplete one",
    "seven bytes": "an incomplete one",
    "length 2^63": "an incomplete one",
    "long header": "are allowed",
    "empty arrays": "more than 20000 arrays",
    "deep": "too deeply",
    "deep object": "too deeply",
    "number": "no object",
    "no text": "no JSON",
    "other safetensors": "not a skvae file",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_files_are_refused(name, tmp_path):
    path = tmp_path / "model.skvae"
    path.write_bytes(FOREIGN[name]())
    with pytest.raises(LoadError, match=REASONS.get(name)):
        skvae.load(path)


def test_files_that_are_too_long_are_not_read(data, tmp_path, monkeypatch):
    path = tmp_path / "model.skvae"
    path.write_bytes(data)
    monkeypatch.setattr(container, "MOST_BYTES", 1000)
    with pytest.raises(LoadError, match="1000 at most"):
        skvae.load(path)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "link to a folder"])
def test_what_is_no_file_is_refused_without_waiting(kind, tmp_path):
    path = tmp_path / "model.skvae"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = "/dev/zero"
    else:
        path.symlink_to(tmp_path)
    with pytest.raises(LoadError, match="a pipe or a device, not a file"):
        skvae.load(path)


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        skvae.load(tmp_path / "nothing.skvae")


@pytest.mark.parametrize("cut", [1, 8, 1000, 0.5])
def test_a_part_of_a_file_is_refused(cut, data):
    n = int(len(data) * cut) if cut < 1 else cut
    refused(data[:-n], "incomplete")


def test_more_than_a_file_is_refused(data):
    refused(data + b"x", "more or fewer bytes")


def test_a_changed_number_is_noticed(data):
    changed = bytearray(data)
    changed[-100] ^= 1
    refused(bytes(changed), "checksum")


def entry(shape, dtype="F64", place=(0, 0)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(place)}


HEADERS = {
    "too large": lambda h: h.update(other=entry([2**60, 2**60])),
    "none of 2^60": lambda h: h.update(other=entry([0, 2**60])),
    "overflow": lambda h: h.update(other=entry([2**33, 2**31])),
    "negative": lambda h: h.update(other=entry([-1])),
    "half": lambda h: h.update(other=entry([0.5])),
    "unknown dtype": lambda h: h.update(other=entry([0], "C64")),
    "no offsets": lambda h: h.update(other={"dtype": "F64", "shape": []}),
    "a list": lambda h: [h],
    "no metadata": lambda h: h.pop("__metadata__") and None,
    "more metadata": lambda h: h["__metadata__"].update(more="x"),
    "other metadata": lambda h: h.update(__metadata__={"other": "x"}),
    "manifest no text": lambda h: h["__metadata__"].update(skvae={}),
    "manifest no JSON": lambda h: h["__metadata__"].update(skvae="x"),
    "manifest a number": lambda h: h["__metadata__"].update(skvae="1"),
    "one more array": lambda h: h.update(other=entry([0])),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_other_headers_are_refused(name, data):
    refused(with_header(data, HEADERS[name]), REASONS.get(name))


@pytest.mark.parametrize("change", ["overlap", "hole", "swap", "missing"])
def test_arrays_elsewhere_are_refused(change, data):
    def moved(header):
        names = [name for name in header if name != "__metadata__"]
        names.sort(key=lambda name: header[name]["data_offsets"])
        first, second = (header[name] for name in names[-2:])
        if change == "overlap":
            second["data_offsets"] = first["data_offsets"][:1] + second["data_offsets"][1:]
        elif change == "hole":
            first["data_offsets"] = [n - 8 for n in first["data_offsets"]]
        elif change == "swap":
            header["first"] = header.pop(names[-1])
        else:
            del header[names[-1]]

    reason = "leaves a hole" if change == "hole" else "fewer bytes" if change == "missing" else None
    refused(with_header(data, moved), reason)


def test_keys_that_are_there_twice_are_refused(data):
    header, arrays = split(data)
    name = next(name for name in json.loads(header) if name != "__metadata__")
    extra = json.dumps({name: entry([0])})[1:-1].encode()
    refused(joined(b"{" + extra + b"," + header[1:], arrays), "twice")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number, data):
    header, arrays = split(data)
    refused(joined(b'{"x":' + number.encode() + b"," + header[1:], arrays), "no number")


def test_manifests_are_written_in_one_way(data):
    def change(header):
        header["__metadata__"]["skvae"] += " "

    refused(with_header(data, change), "not written as")


@pytest.mark.parametrize("major", [0, 2, "1", True, None, 1.0])
def test_other_versions_are_refused(major, data):
    changed = signed(data, lambda manifest, arrays: manifest["format"].update(major=major))
    refused(changed, "format 2.*load it with skvae '0" if major == 2 else "")


def test_files_of_later_versions_load_or_say_so(data):
    def change(manifest, arrays):
        manifest["format"]["minor"] = 1
        manifest["versions"]["skvae"] = "9.9"
        parts_of(manifest)["invented"] = 1

    assert load(signed(data, lambda m, a: m["format"].update(minor=1))).n_features_in_ == 5
    refused(signed(data, change), r"no part 'invented'.*written by skvae '9\.9'")


def parts_of(manifest):
    return manifest["learned"]["_model"]["parts"]


def start_of(manifest):
    return parts_of(manifest)["start"]["parts"]


def option(name, value):
    return lambda m, a: m["parameters"].update({name: value})


def architecture(**options):
    def change(manifest, arrays):
        parts_of(manifest)["architecture"]["parts"].update(options)

    return change


def part(name, value):
    return lambda m, a: parts_of(m).update({name: value})


def of_start(name, value):
    return lambda m, a: start_of(m).update({name: value})


def weight(value, dtype=None):
    def change(manifest, arrays):
        name = next(name for name in sorted(arrays) if "encoder.0.weight" in name)
        arrays[name] = arrays[name].astype(dtype or arrays[name].dtype)
        if value is not None:
            arrays[name][0, 0] = value

    return change


def without_array(manifest, arrays):
    del arrays[next(name for name in arrays if "encoder" in name)]


def one_more_weight(manifest, arrays):
    weights = parts_of(manifest)["weights"]["dict"]
    weights.append(["more", weights[0][1]])


def one_more_array(manifest, arrays):
    arrays["more"] = np.zeros(3)


def renamed(manifest, arrays):
    name = next(name for name in arrays if "encoder" in name)
    arrays["other"] = arrays.pop(name)


def other_answers(manifest, arrays):
    arrays["test.codes"][3, 0] += 1.0


def array_of(name, place, value):
    def change(manifest, arrays):
        arrays[next(key for key in sorted(arrays) if key.endswith(name))].reshape(-1)[place] = value

    return change


def no_model(manifest, arrays):
    manifest["learned"]["_model"] = None
    for name in [name for name in arrays if name.startswith("attribute._model.")]:
        del arrays[name]


def longer_mean(manifest, arrays):
    name = next(name for name in arrays if name.endswith("start.mean"))
    arrays[name] = np.append(arrays[name], 0.0)


MODELS = {
    "latent_dim=-1": option("latent_dim", -1),
    "latent_dim of text": option("latent_dim", "many"),
    "a parameter more": option("__class__", "os.system"),
    "beta=NaN": option("beta", {"float": "nan"}),
    "device": option("device", 3),
    "architecture by import path": option("architecture", "os.system"),
    "prior of a type that is none": option("prior", {"type": "Popen", "parts": {}}),
    "component of another table": option("prior", {"type": "MLP", "parts": {}}),
    "other class": lambda m, a: m.update({"class": "os.system"}),
    "format of others": lambda m, a: m["format"].update(name="other"),
    "one part more": lambda m, a: m.update(code="import os"),
    "one attribute more": lambda m, a: m["learned"].update(transform="x"),
    "one attribute fewer": lambda m, a: m["learned"].pop("n_features_in_"),
    "no model": no_model,
    "no parameters": lambda m, a: m.update(parameters=[]),
    "wide layer": architecture(hidden_layer_sizes={"tuple": [10**9]}),
    "wide layers": architecture(hidden_layer_sizes={"tuple": [10**6] * 60}),
    "many layers": architecture(hidden_layer_sizes={"tuple": [4] * 100_000}),
    "layers of nothing": architecture(hidden_layer_sizes={"tuple": [0]}),
    "other layers": architecture(hidden_layer_sizes={"tuple": [5]}),
    "unknown activation": architecture(activation="__import__"),
    "many codes": part("latent_dim", 10**12),
    "fewer codes": part("latent_dim", 0),
    "view": part("view", 3),
    "batches": part("batch_cells", 2**60),
    "weights of nothing": part("weights", {"dict": []}),
    "one weight more": one_more_weight,
    "kept": part("kept", 2.0),
    "weight of the start": part("start_weight", 2.0),
    "device of the model": part("device", "nowhere"),
    "many units": of_start("latent_dim", 10**9),
    "units below nothing": of_start("latent_dim", -1),
    "scale of 0": of_start("scale", 0.0),
    "scale below 0": of_start("scale", -1.0),
    "scale of none": of_start("scale", {"float": "nan"}),
    "noise of 0": of_start("noise_variance", 0.0),
    "much noise": of_start("noise_variance", 1e9),
    "NaN": weight(np.nan),
    "infinite": weight(np.inf),
    "double precision of another weight": weight(1e30),
    "whole numbers": weight(None, np.int64),
    "half precision": weight(None, np.float16),
    "missing array": without_array,
    "one array more": one_more_array,
    "renamed array": renamed,
    "other answers": other_answers,
    "order of codes": array_of("use.order", 0, 7),
    "mean of none": array_of("start.mean", 0, np.nan),
    "longer mean": longer_mean,
    "many components": part("prior", {"type": "Mixture", "parts": {"n_components": 10**9}}),
}


@pytest.mark.parametrize("name", MODELS)
def test_other_models_are_refused(name, data):
    refused(signed(data, MODELS[name]), REASONS.get(name))


def two_likelihoods(manifest, arrays):
    names = sorted(name for name in arrays if "_columns.likelihoods" in name)
    arrays[names[0]][0] = arrays[names[-1]][0]


TABLES = {
    "two likelihoods of a column": two_likelihoods,
    "owner": array_of("factors.owner", 0, 10**12),
    "owner below 0": array_of("factors.owner", 0, -5),
    "columns": array_of("units.columns", 0, 10**9),
    "levels": array_of("n_levels", 0, 10**9),
    "noise": array_of("factors.noise", 0, 0.0),
    "loadings": array_of("factors.loadings", 0, np.nan),
}


@pytest.mark.parametrize("name", TABLES)
def test_other_tables_are_refused(name, files):
    refused(signed(files["table"], TABLES[name]), REASONS.get(name))


def dtype_of_column(plain):
    def change(manifest, arrays):
        columns = manifest["learned"]["_columns"]["parts"]["schema"]["parts"]["columns"]["tuple"]
        pairs = [[key, value] for key, value in plain.items()]
        columns[0]["parts"]["dtype"] = {"dict": pairs}

    return change


DTYPES = [
    {"polars": "read_csv", "options": {"dict": [["source", "/etc/passwd"]]}},
    {"polars": "Config", "options": {"dict": []}},
    {"pyarrow": "dictionary", "options": {"list": []}},
    {"pyarrow": {"bytes": "00ff"}, "options": {"list": []}},
    {"pandas": "nothing"},
    {"categories": {"list": ["a", "a"]}, "of": None, "ordered": True},
]


@pytest.mark.parametrize("plain", DTYPES, ids=str)
def test_dtypes_name_nothing_else(plain, files):
    refused(signed(files["table"], dtype_of_column(plain)))


def mutated(n_bytes, n_content, seed):
    """How many were refused of so many mutants, in a process that hears of all that they do."""
    return apart(mutants, n_bytes, n_content, seed)


def test_mutants_load_as_they_were_or_are_refused():
    of_bytes, of_content = mutated(10_000, 200, seed=0)
    assert 9000 < of_bytes < 10_000
    assert 100 < of_content < 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_many_mutants_load_as_they_were_or_are_refused(seed):
    of_bytes, of_content = mutated(100_000, 5000, seed)
    assert of_bytes > 90_000
    assert of_content > 2500


def most():
    """The most memory that the process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def audited(n_models, paths):
    """How much is heard while files are loaded, of which the first are models, and only these."""
    warnings.simplefilter("ignore")
    assert repr(VAETransformer(latent_dim=2))  # as errors have it
    for path in paths[:n_models]:  # for what is imported when it is first needed
        skvae.load(path)
    with Path(os.devnull).open() as free:  # whose handle the files will have
        own = [f"({free.fileno()}, '{mode}'" for mode in ("rb", "r")]
    ear = Ear()
    for number, path in enumerate(paths):
        before, began = most(), time.process_time()
        try:
            skvae.load(path)
        except LoadError:
            assert number >= n_models, path
        else:
            assert number < n_models, path
        told = path, most() - before, time.process_time() - began
        assert told[1] < 200, told
        assert told[2] < 1, told
        own.append(f"('{path}'")
    heard = [
        (event, said)
        for event, said in ear.heard
        if not (event == "open" and any(map(said.startswith, own)))
    ]
    assert not heard, heard[:20]
    return len(ear.heard)


def hostile(files):
    """All files of this module that are to be refused, by name."""
    yield from ((name, make()) for name, make in FOREIGN.items())
    for changes, kind in ((MODELS, "matrix"), (TABLES, "table")):
        yield from ((name, signed(files[kind], change)) for name, change in changes.items())
    for name, change in HEADERS.items():
        yield name, with_header(files["matrix"], change)
    for number, plain in enumerate(DTYPES):
        yield f"dtype {number}", signed(files["table"], dtype_of_column(plain))
    yield "half", files["matrix"][: len(files["matrix"]) // 2]


def test_hostile_files_are_refused_at_once_and_without_a_trace(files, tmp_path):
    """Within a second and 200 MB, and nothing is imported, opened, connected or run."""
    paths = []
    for number, (name, data) in enumerate([*files.items(), *hostile(files)]):
        paths.append(tmp_path / f"{number} {name.replace('/', ' ')}.skvae")
        paths[-1].write_bytes(data)
    assert apart(audited, len(files), [str(path) for path in paths]) >= len(paths)


def test_frames_of_one_column_can_be_kept_and_changed(tmp_path):
    frame = pd.DataFrame({"a": np.arange(40.0)})
    path = tmp_path / "model.skvae"
    VAETransformer(1, max_iter=0).fit(frame).save(path)
    assert skvae.load(path).feature_names_in_.tolist() == ["a"]
