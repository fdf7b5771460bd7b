"""Examples that ship with the package: models, and a demonstration of the whole."""
