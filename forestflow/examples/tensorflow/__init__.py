"""TensorFlow models to try ForestFlow with."""
