"""Which addresses are of the public internet: what requests and paths of clients may lead to."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Public by their own ranges, but leading to any IPv4 address: NAT64, 6to4, Teredo.
_TUNNELS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


def is_public(address: Address) -> bool:
    """Whether it is of the internet: not private, loopback, link-local, shared (100.64/10), multicast, or a tunnel."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in tunnel for tunnel in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast
