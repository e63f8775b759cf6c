"""What a machine on a LAN asks of its gateway, run in a namespace: `dhcp` for a lease, or `dns SERVER NAME`."""

from __future__ import annotations

import socket
import struct
import sys

END = 255  # the option that ends them


def ask_for_a_lease() -> None:
    """Send a DHCPDISCOVER from port 68 of eth0 (RFC 2131), and print what is offered and its options by number."""
    mac = b"\x02\x00\x00\x00\x00\x17"
    asked = bytes([53, 1, 1, 55, 4, 1, 3, 6, 42, 255])
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(16) + mac + bytes(10 + 64 + 128)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        line.bind(("", 68))
        line.settimeout(20)
        line.sendto(head + b"\x63\x82\x53\x63" + asked, ("255.255.255.255", 67))
        answer = line.recv(2048)
    found, rest = {}, answer[240:]
    while rest[0] != END:
        found[rest[0]], rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
    listed = [f"{option}={socket.inet_ntoa(found[option])}" for option in (1, 3, 6, 42) if option in found]
    print(socket.inet_ntoa(answer[16:20]), *listed)  # noqa: T201


def ask_for_a_name(server: str, name: str) -> None:
    """Ask for the IPv4 address of a name (RFC 1035), and print the answer's code and the address, if there is one."""
    query = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(5)
        line.sendto(struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + query, (server, 53))
        answer = line.recv(512)
    code, answers = answer[3] & 0x0F, struct.unpack("!H", answer[6:8])[0]
    print(code, *([socket.inet_ntoa(answer[-4:])] if answers else []))  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "dhcp":
        ask_for_a_lease()
    else:
        ask_for_a_name(*sys.argv[2:])
