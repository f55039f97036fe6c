"""The assets, one file a subject: image sets with their ground truth, extractions, evaluations."""
