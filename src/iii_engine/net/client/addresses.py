"""Which network addresses are not of the public internet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_BLOCKED_V4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network, the unspecified address
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, metadata services of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

_BLOCKED_V6: Final = tuple(
    IPv6Network(block)
    for block in (
        "64:ff9b:1::/48",  # NAT64 of the local network
        "100::/64",  # discard
        "2001::/32",  # Teredo
        "2001:db8::/32",  # documentation
        "fc00::/7",  # unique local
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)

#: Prefixes of IPv6 addresses that reach an IPv4 address, and by how many bits it is shifted.
_EMBEDDED: Final = (
    (IPv6Network("::/96"), 0),  # IPv4-compatible; covers the unspecified and loopback addresses
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)


def is_private(address: str) -> bool:
    """Does the address belong to this machine, a local network or a reserved range?

    What is no address at all counts as private.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return True
    if isinstance(parsed, IPv4Address):
        return _is_private_v4(parsed)
    return _is_private_v6(parsed)


def _is_private_v4(address: IPv4Address) -> bool:
    return any(address in network for network in _BLOCKED_V4)


def _is_private_v6(address: IPv6Address) -> bool:
    plain = IPv6Address(int(address))  # without a scope, which networks do not know
    for network, shift in _EMBEDDED:
        if plain in network:
            return _is_private_v4(IPv4Address((int(plain) >> shift) & 0xFFFFFFFF))
    return any(plain in network for network in _BLOCKED_V6)
