"""GraphPipe's FlatBuffers."""
