"""TensorFlow Serving's protocol: REST and gRPC."""
