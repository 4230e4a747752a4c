"""Networks of one linear layer."""

from torch import nn

from skvae._sklearn import Documented


class Linear(Documented):
    """Network of a single linear layer.

    With linear networks the model is the linear VAE, whose optimum is probabilistic PCA [1]_.

    References
    ----------
    .. [1] Lucas, J., Tucker, G., Grosse, R. and Norouzi, M. (2019). Don't blame the ELBO! A
       linear VAE perspective on posterior collapse. NeurIPS.

    Examples
    --------
    >>> from skvae import Linear
    >>> Linear()(4, 2)
    Linear(in_features=4, out_features=2, bias=True)
    """

    of_columns = False

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the layer.

        Parameters
        ----------
        n_in, n_out : int
            Number of input and output columns.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out), float tensors.
        """
        return nn.Linear(n_in, n_out)
