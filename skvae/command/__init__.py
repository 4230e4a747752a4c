"""The command `skvae`: a saved model put to use by those who do not write Python."""
