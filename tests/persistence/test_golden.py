"""Files of every version load, and their models answer as they did when they were saved."""

import numpy as np
import pytest

import skvae
from skvae.persistence import container
from skvae.persistence.estimators import unpacked
from tests.persistence.golden import FOLDER, KINDS, MOST_BYTES

FILES = sorted(FOLDER.rglob("*.skvae"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_files_of_every_version_load(path):
    vae = skvae.load(path)  # which compares codes and scores with those of the file
    rows = vae.sample(5, random_state=0)
    assert np.isfinite(np.asarray(vae.transform(rows))).all()
    assert path.stat().st_size < MOST_BYTES
    assert unpacked(container.read(path)).takes_own


def test_there_is_a_file_of_every_kind():
    assert {path.stem for path in FILES} >= set(KINDS)


def test_a_model_that_answers_otherwise_is_told(tmp_path):
    path = tmp_path / "model.skvae"
    data = FILES[0].read_bytes()
    manifest, arrays = container.unpack(data)
    arrays["test.scores"] = arrays["test.scores"] + 1.0
    path.write_bytes(container.pack(manifest, arrays))
    with pytest.raises(skvae.LoadError, match="the scores of the model differ"):
        skvae.load(path)
