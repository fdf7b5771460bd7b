"""gRPC: what a router answers beside HTTP, on the same event loop."""
