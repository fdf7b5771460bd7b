"""Bytes to domain values and back, pure: no I/O, so that they run in a replica, in a router or under a fuzzer."""
