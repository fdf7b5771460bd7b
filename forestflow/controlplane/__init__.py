"""What a command passes: registry, journal, deploys, reconciler, queries. Writes the Plan."""
