"""A fitted model asked about tables as they come: columns by name, answers in kind, by batches."""
