"""Everything that imports dagster. Files are named for its nouns; each only translates between them and the domain."""
