"""The HTTP API as one running service: single extracts, uploads, lists, and clients that behave badly."""
