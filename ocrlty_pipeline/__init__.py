"""The domain of OCRlty and its Dagster code location. Import from the modules; nothing is re-exported here."""
