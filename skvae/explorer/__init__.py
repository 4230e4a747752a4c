"""A page in the browser: rows on a map of two codes, and what the decoder makes of any point."""
