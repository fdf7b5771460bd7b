"""Ray's only home: the actors of registry, routers and hosts, and what starts and stops them."""
