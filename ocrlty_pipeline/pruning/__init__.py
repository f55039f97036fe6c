"""What is old and no longer needed, and how it goes.

A plan is made in the database, in tables of one connection, and read in pages: memory stays flat however much is kept.
Interrupted anywhere, the same command goes on: each thing's row goes after its artifacts.
"""
