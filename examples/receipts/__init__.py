"""Synthetic receipts whose ground truth is known by construction.

Each module makes one step: `places` (where things are sold, and how amounts are written there), `sales` (what was
sold, and the arithmetic), `wording` (the strings that are printed, which are the ground truth), `layout` (the strings
in rows), `drawing` (the rows as ink), `photo` (the ink as a photograph of a paper). Nothing here knows files or
folders: that is `make_receipts`.
"""
