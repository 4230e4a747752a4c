"""What several modules change and give back."""

import pytest

from tests.training.judged import trained


@pytest.fixture
def better():
    """A model to change: the trained one, as it was left."""
    vae = trained()[0]
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    yield trained()
    vae.load_state_dict(before)
