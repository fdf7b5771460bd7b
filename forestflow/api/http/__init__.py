"""HTTP: the hot score route as plain ASGI, everything else as FastAPI."""
