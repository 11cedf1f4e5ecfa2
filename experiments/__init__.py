"""Experiments with the recipe: how its defaults were chosen. Nothing of the platform needs this folder."""
