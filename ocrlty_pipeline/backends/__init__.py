"""Backends: image + prompt + schema -> completion text. One file or folder a backend; `factory` picks one by name."""
