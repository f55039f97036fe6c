"""Programs that measure what the project promises, as ratios within one run: absolute times say little here."""
