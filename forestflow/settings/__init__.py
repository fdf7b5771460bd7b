"""The server's settings: flags, variables and TOML."""
