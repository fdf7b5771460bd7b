"""The Open Inference Protocol: REST and gRPC."""
