"""What a run leaves on disk: workdir, checkpoints, metrics, and its copies in object stores."""
