"""Training: recipes, the loop, run folders. Everything here needs torch."""
