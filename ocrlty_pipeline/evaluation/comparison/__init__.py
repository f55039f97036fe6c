"""Two evaluations of the same images against each other: what got better, what got worse, and whether by chance."""
