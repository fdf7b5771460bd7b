"""JSON that several protocols share: strict documents, lists of numbers into columns, long bodies."""
