"""Where skvae 0.1 had what its pickles name: loading one of them says what to do."""

from skvae.pickles import of_older_version as __getattr__

__all__ = ["__getattr__"]
