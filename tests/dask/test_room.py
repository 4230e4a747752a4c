"""Rows that workers cannot hold are refused in words that help."""

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from skvae.dask import DaskVAETransformer
from skvae.dask.member import _refuse_crowding
from tests.distributed.together import SMALL, curve

FREELY = {  # so that the workers run at all, beside all else that this process holds
    f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")
}


@pytest.mark.parametrize(
    ("table", "needed"),
    [
        (np.zeros((100, 10)), 16_000),
        (np.zeros((100, 10), dtype="float32"), 8_000),
        (pd.DataFrame(np.zeros((100, 10))), 16_000),
    ],
)
def test_a_worker_refuses_rows_that_it_would_be_killed_for(table, needed):
    _refuse_crowding([(0, table, None)], None)
    _refuse_crowding([(0, table, None)], 2 * needed)
    with pytest.raises(MemoryError, match=r"may hold .* GB\. Fit on more workers"):
        _refuse_crowding([(0, table, None)], needed // 2)


def test_rows_that_a_scheduler_refuses_to_send_are_told():
    rows = da.from_array(curve(10_000, 50), chunks=(2_000, 50))
    with (
        dask.config.set(FREELY),
        LocalCluster(
            n_workers=1, processes=False, dashboard_address=":0", memory_limit="2MB"
        ) as cluster,
        Client(cluster),
        pytest.raises(MemoryError, match=r"a worker cannot hold its rows\. Fit on more workers"),
    ):
        DaskVAETransformer(2, **SMALL).fit(rows)
