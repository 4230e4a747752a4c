"""A fitted estimator in one file that holds no code, and back; every file is taken for hostile."""
