"""Recipes: one complete YAML file per method and data set; the first line is the command that runs it."""
