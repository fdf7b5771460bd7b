"""Everything with a clock, a socket, a file or Ray in it."""
