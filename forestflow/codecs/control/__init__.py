"""The control API's JSON: bodies, replies, explanations, and the schemas of its page."""
