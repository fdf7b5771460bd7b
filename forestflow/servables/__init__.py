"""Models behind one interface: a Batch in, a Batch out. A framework is imported when its flavor is loaded."""
