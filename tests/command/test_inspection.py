"""What is told of a file is what the estimator knows, and no weight is read for it."""

import json
from pathlib import Path

import pytest

import skvae
from skvae.command.main import main
from skvae.persistence.container import HeaderOnly
from tests.persistence.golden import FOLDER
from tests.persistence.hostile import signed

FILES = sorted(FOLDER.rglob("*.skvae"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_is_told(path, capsys):
    assert main(["inspect", str(path), "--json"]) == 0
    found, vae = json.loads(capsys.readouterr().out), skvae.load(path)
    assert found["class"] == "VAETransformer"
    assert found["fit"]["rows"] == vae.n_samples_
    assert found["fit"]["share of the training kept (0: PCA)"] == vae.kept_
    assert found["fit"]["log-likelihood under PCA, nats per row"] == vae.pca_score_
    assert len(found["columns"]) == vae.n_features_in_
    assert found["parameters"].keys() <= vae.get_params(deep=False).keys()  # others came later
    for options in ([], ["--all"]):
        assert main(["inspect", str(path), *options]) == 0
        out = capsys.readouterr().out
        assert ("whiten" in out) == (bool(options) or vae.whiten)


def test_weights_are_not_read(model, tmp_path, run):
    """The file is told when its weights are gone, and only their places are left."""
    data = Path(model).read_bytes()
    whole = run("inspect", model)[1]
    damaged = bytearray(data)
    entries = HeaderOnly(model).header
    for name, entry in entries.entries.items():
        if name.startswith("attribute._model"):
            first, last = entries.length + entry.first, entries.length + entry.last
            damaged[first:last] = b"\xff" * (last - first)
    path = tmp_path / "people.skvae"
    path.write_bytes(damaged)
    told = run("inspect", path)[1].splitlines()[1:]
    assert told == whole.splitlines()[1:]
    with pytest.raises(skvae.LoadError):
        skvae.load(path)


@pytest.mark.parametrize("key", ["class", "learned", "parameters", "versions", "format"])
def test_headers_that_cannot_be(key, model, tmp_path, fails):
    path = tmp_path / "model.skvae"
    path.write_bytes(signed(Path(model).read_bytes(), lambda manifest, arrays: manifest.pop(key)))
    assert "model.skvae" in fails("inspect", path)
