"""Things to try OCRlty on, made on the spot."""
