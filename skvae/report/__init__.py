"""A report on a table of a person's own: what it holds, and what codes make of it, on one page.

A file becomes a `Sheet` of cells; `account_of` says of every column how it is taken, or why it is
left out; a `Study` fits the models and measures them; `page_of` writes it all down.
"""
