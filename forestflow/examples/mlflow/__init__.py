"""A model in a folder as MLflow writes it, made without MLflow."""
