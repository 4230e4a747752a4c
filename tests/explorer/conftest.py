"""A small fitted model of a table with hostile names, its page, and a browser to open it."""

import numpy as np
import pandas as pd
import pytest

from skvae import VAETransformer
from tests.explorer.browser import CHROMIUM, Browser
from tests.samples import fit_quietly

# Names and cells that would do harm, or disorder, if a page took them for anything but text.
HOSTILE = (
    "</script><img src=x onerror=\"console.error('run')\">",
    "'\"><svg onload=console.error(1)>",
    "line\nbreak\r\n<!-- %{x} $\\alpha$ {{content}} -->",
    "\u202eشَكْل مِن اليَمِين\u202c",
    "<a href='http://example.org/'>link</a>&lt;b&gt;",
    "x" * 10_000,
    "",
)


@pytest.fixture(scope="session")
def hostile():
    rng = np.random.default_rng(0)
    n = 300
    z = rng.normal(size=n)
    columns = {name: z + rng.normal(size=n) for name in HOSTILE[:3]}
    columns[HOSTILE[3]] = np.array(HOSTILE, dtype=object)[rng.integers(len(HOSTILE), size=n)]
    columns[HOSTILE[4]] = np.where(z > 0, HOSTILE[0], HOSTILE[1])
    columns[HOSTILE[5]] = rng.random(n) < 0.4
    return pd.DataFrame(columns)


@pytest.fixture(scope="session")
def of_hostile(hostile):
    return fit_quietly(VAETransformer(2, max_iter=2, random_state=0), hostile)


@pytest.fixture
def browser(tmp_path):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    browser = Browser(tmp_path)
    yield browser
    browser.close()
