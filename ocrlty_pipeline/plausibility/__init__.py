"""What can be said of an answer without ground truth: whether its figures add up, are possible, and stand in print.

Belongs here: checks of one document, pure. Does not: accuracy (`evaluation`), or whether it follows its schema
(`answers`).
"""
