"""Where models come from, where they are kept, and the environments they need."""
