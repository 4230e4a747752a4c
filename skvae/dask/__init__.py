"""VAETransformer for a cluster of Dask. Rows stay on the workers that hold them."""

try:
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError("skvae.dask needs Dask: pip install 'skvae[dask]'.") from error

from skvae.dask.transformer import DaskVAETransformer

__all__ = ["DaskVAETransformer"]
