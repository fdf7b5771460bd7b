"""Ours against the floor and against peers, in one run, printed as ratios. See README.md here."""
