"""What the processes of one job agree on: joining, telling each other, signals, ends."""
