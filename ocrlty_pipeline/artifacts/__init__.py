"""Artifacts: their keys, the write-once store on local disk or S3/R2, and the index in PostgreSQL that finds them.

What a document says is `records`' and `evaluation`'s business; here it is bytes, but for what the index takes from it.
"""
