"""Training: objectives, the pure step, its mapping over devices, checkpoints and the loop."""
