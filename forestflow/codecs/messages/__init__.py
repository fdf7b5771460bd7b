"""Domain values as protobuf messages and back, and these as strict JSON."""
