"""Fits of several processes: which rows all of them know, and what they have to agree on."""
