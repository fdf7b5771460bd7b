"""ForestFlow's BASIC protocol: JSON and protobuf."""
