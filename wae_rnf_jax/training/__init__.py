"""Training: objectives, procedures, the pure step, its mapping over devices, and the loop."""
