"""Evaluation: one batch run's predictions scored against ground truth.

    options      what a person may choose about how values compare
    values       one leaf -> its canonical form
    alignment    two arrays -> the pairs of items that belong together
    outcomes     what can become of a leaf, and their counting
    nodes        leaf, object, array: each reads and compares its values
    plan         a task's schema -> its nodes
    metrics      counts of outcomes -> accuracy, precision, recall, F1, rates with intervals
    results      the documents: an evaluation, its fields and samples
    evaluator    a run's samples -> an evaluation

Pure functions throughout: no files, no database, no clock. Every sample is compared once; metrics see only the counts
of that, so that another metric or a bootstrap is one more function over them. Reading ground-truth files is
`ground_truth`'s business.
"""
