"""Flax Linen modules: they compose the pure functions and add no mathematics of their own."""
