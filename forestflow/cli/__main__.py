"""``python -m forestflow.cli``."""

from forestflow.cli import main

main()
