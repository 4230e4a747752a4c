"""Networks of one linear layer."""

from torch import nn

from skvae._sklearn import Documented


class Linear(Documented):
    """A network of one linear layer: the linear VAE, whose optimum is probabilistic PCA."""

    of_columns = False

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the module.

        Parameters
        ----------
        n_in, n_out : int
            Columns in and columns out.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out).
        """
        return nn.Linear(n_in, n_out)
