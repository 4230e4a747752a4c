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


@pytest.mark.parametrize("answer", ["codes", "scores"])
@pytest.mark.parametrize("version", [skvae.__version__, "0.0.9"])
def test_a_model_that_answers_otherwise_is_told(answer, version, tmp_path):
    """Another version may draw otherwise, of which scores are bounds; codes are the same."""
    path = tmp_path / "model.skvae"
    manifest, arrays = container.unpack(FILES[0].read_bytes())
    manifest["versions"]["skvae"] = version
    arrays[f"test.{answer}"] = arrays[f"test.{answer}"] + 1.0
    path.write_bytes(container.pack(manifest, arrays))
    if (answer, version) == ("scores", "0.0.9"):
        assert skvae.load(path).kept_ >= 0.0
        return
    with pytest.raises(skvae.LoadError, match=f"the {answer} of the model differ"):
        skvae.load(path)
