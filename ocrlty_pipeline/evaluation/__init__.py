"""Evaluation: one batch run's predictions scored against ground truth.

    options      what a person may choose about how values compare
    values       one leaf -> its canonical form
    alignment    two arrays -> the pairs of items that belong together
    outcomes     what can become of a leaf, and their counting
    nodes        leaf, object, array: each reads and compares its values
    plan         a task's schema -> its nodes
    metrics      counts of outcomes -> accuracy, precision, recall, F1, rates with intervals
    anls, donut, tree_edit (with zhang_shasha), kieval
                 two JSON documents -> what each published metric makes of them
    published    a sample -> all of these
    uncertainty  figures of a run -> their bootstrap intervals
    results      the documents: an evaluation, its fields and samples
    evaluator    a run's samples -> an evaluation
    headline     an evaluation -> the figures that stand at the top, in their order
    comparison   two evaluations of the same images -> what got better or worse, and whether by chance

Pure functions throughout: no files, no database, no clock. Every sample is compared once; the figures of a run see only
the counts of that, so that another figure or a bootstrap is one more function over them. Reading ground-truth files is
`ground_truth`'s business.
"""
