"""Thin transports over the two facades, data plane and control plane."""
