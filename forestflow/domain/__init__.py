"""The vocabulary of ForestFlow as pure values: no clock, no I/O, no wire format."""
