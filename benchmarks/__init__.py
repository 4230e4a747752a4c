"""Benchmark of skvae against the methods that people use in its place.

``python -m benchmarks`` runs trials, ``python -m benchmarks report`` writes tables and figures of
the pages, the other commands are those of ``suites.SUITES``, and ``python -m benchmarks.demo`` is
a tour of the main job. Data sets, methods, metrics and suites are tables of names: to add one, add
a line to the table that ends its module.
"""
