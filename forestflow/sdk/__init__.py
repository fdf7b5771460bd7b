"""A thin client of the REST API; imports no Ray."""
