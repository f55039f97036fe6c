"""`python -m ocrlty_pipeline.cli`, for where the `ocrlty` script is not on the path."""

from ocrlty_pipeline.cli.app import main

main()
