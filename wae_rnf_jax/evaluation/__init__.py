"""Evaluation: likelihood of a split, generation, latent space, text, reports."""
