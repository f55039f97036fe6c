"""Which IP addresses belong to the public internet."""

from __future__ import annotations

import ipaddress

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Well-known prefix of NAT64 (RFC 6052): what IPv6-only networks reach IPv4 by.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Deprecated tunnels (RFC 7526, Teredo) that lead to an IPv4 address of the sender's choice.
_TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))


def is_public(text: str) -> bool:
    """Whether an address, IPv4 or IPv6, is one of the public internet: no loopback, private, shared (CGNAT), link-local
    (where clouds keep their metadata), multicast, reserved or unspecified address, in no disguise of IPv6 either.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return _is_public_v4(address)
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    if address in _NAT64:
        return _is_public_v4(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_UNICAST and address.is_global and not any(address in tunnel for tunnel in _TUNNELS)


def _is_public_v4(address: ipaddress.IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved
