"""Data sets in and out: published and plain ground-truth formats read, predictions and scores written as tables.

Belongs here: one reader a format, each giving the records that `ground_truth` understands. Does not: matching records
with images (`ground_truth`), or storing them (`image_sets`).
"""
