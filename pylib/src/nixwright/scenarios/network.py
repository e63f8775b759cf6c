"""The wired network: an address from a router, or one of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import BaseMachine


def gets_an_address(machine: BaseMachine, router: BaseMachine, *, interface: str, hostname: str) -> None:
    """The router gives an address and a way out, and hears the host's name."""
    router.wait_for_unit("dnsmasq.service")
    machine.wait_for_unit("multi-user.target")
    machine.wait_until_succeeds(f"ip -4 -o address show dev {interface} | grep -F 192.168.1.1", timeout=seconds(120))
    # the router's is the only way out
    machine.wait_until_succeeds(f"ip -4 route show default | grep -F 'dev {interface}'", timeout=seconds(120))
    given = machine.succeed(f"ip -4 -j address show dev {interface}")
    address = json.loads(given)[0]["addr_info"][0]["local"]
    router.wait_until_succeeds(
        f"grep -F ' {address} {hostname} ' /var/lib/dnsmasq/dnsmasq.leases", timeout=seconds(120)
    )
    router.succeed(f"ping -c 1 -W 20 {address}")


def has_its_address(machine: BaseMachine, client: BaseMachine, *, interface: str, address: str) -> None:
    """The interface has the address of the description and a neighbour reaches it."""
    machine.wait_for_unit("multi-user.target")
    machine.wait_until_succeeds(f"ip -o address show dev {interface} | grep -F ' {address} '", timeout=seconds(120))
    client.wait_for_unit("multi-user.target")
    client.wait_until_succeeds(f"ping -c 1 -W 20 {address.partition('/')[0]}", timeout=seconds(120))
