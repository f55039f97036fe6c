"""Reports: one HTML page per evaluation and per comparison of two runs, for a person who looks once.

Belongs here: what the pages say and how it is set. Does not: the figures, which are `evaluation`'s, or who asks for a
page (`orchestration`, `cli`, the API).
"""
