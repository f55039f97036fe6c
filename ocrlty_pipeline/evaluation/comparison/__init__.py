"""Two evaluations of the same images against each other: what got better, what got worse, and whether by chance.

    pairing       what may be compared with what -> pairs of samples
    tables        paired samples -> arrays
    significance  the tests, and their correction for being many
    figures       the headline figures' differences and their intervals
    changes       the images that differ, with both predictions
    words         a comparison in a sentence
    results       the documents
    compare       puts all of this together, and decides
    gate          whether a run may take a baseline's place

Pure, as all of `evaluation`.
"""
