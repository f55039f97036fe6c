"""Batches: one image set through one task, with bounded concurrency, progress, resume and cancel.

`journal` decides which run an execution continues, `runner` executes it, `execution` puts the two together. How one
image becomes a record is `extraction`'s.
"""
