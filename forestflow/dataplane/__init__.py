"""What a request passes: dispatch, links and wire in a router, queue and merging in a replica. Reads the Plan."""
