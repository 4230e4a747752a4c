"""Linear starts: probabilistic PCA of matrices, factors and generalised linear models of tables."""
