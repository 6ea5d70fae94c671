"""Evaluation: likelihood of a split, generation, latent space, reports."""
