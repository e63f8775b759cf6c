"""Unlocking from afar: another machine logs into stage 1 and gives the passphrase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nixwright.scenarios.access import address_of
from nixwright.scenarios.boots import wait_for_boot
from nixwright.scenarios.driver import seconds

if TYPE_CHECKING:
    from nixwright.scenarios.driver import QemuMachine

_LEASES = "/var/lib/dnsmasq/dnsmasq.leases"


def unlocks_from_afar(  # noqa: PLR0913 - a value each
    machine: QemuMachine,
    admin: QemuMachine,
    *,
    port: int,
    address: str,
    passphrase: str,
    opened: str,
    interface: str,
    later: int,
) -> None:
    """Stage 1 shows the host key that is known, takes the one key, and boots on once it has the passphrase.

    `address` is empty where the machine gets one by DHCP, from `admin`. `opened` is a mount point on what was locked,
    `later` the port of the running system's SSH server (0 where it has none): it has a key of its own, and perhaps
    another address.
    """
    wait_for_boot(admin)
    if not address:
        admin.wait_until_succeeds(f"test -s {_LEASES}", timeout=seconds(600))
        address = admin.succeed(f"awk 'NR == 1 {{ print $3 }}' {_LEASES}").strip()
    # said at once: to wait for a login that can never be takes ten minutes
    scan = f"ssh-keyscan -p {port} {address} 2>/dev/null | grep -v '^#' | cut -d ' ' -f 3"
    stage1 = admin.wait_until_succeeds(f"{scan} | grep .", timeout=seconds(600)).split()
    known = admin.succeed("cut -d ' ' -f 2 /etc/unlock-host").split()
    if stage1 != known:
        raise AssertionError(f"stage 1 shows {stage1}, known is {known}")
    admin.succeed(f'echo "[{address}]:{port} $(cat /etc/unlock-host)" > /root/known')
    ssh = f"ssh -p {port} -o UserKnownHostsFile=/root/known -o StrictHostKeyChecking=yes -o BatchMode=yes"
    log_in = f"{ssh} -i /etc/unlock-key root@{address}"
    admin.wait_until_succeeds(f"{log_in} test -e /etc/initrd-release", timeout=seconds(600))
    admin.wait_until_succeeds(f"{log_in} 'ls /run/systemd/ask-password/ask.*'", timeout=seconds(600))
    admin.succeed("ssh-keygen -q -t ed25519 -N '' -f /root/other")
    refusal = admin.fail(f"{ssh} -i /root/other -o IdentitiesOnly=yes root@{address} true 2>&1")
    if "Permission denied (publickey" not in refusal:
        raise AssertionError(f"another key is not refused for being another: {refusal}")
    # what a person does: the alias of the install steps, and the passphrase typed
    admin.execute(f"(sleep 5; echo {passphrase}; sleep 20) | timeout 300 {log_in} -tt systemctl default >&2")
    wait_for_boot(machine)
    machine.succeed(f"findmnt {opened}")
    machine.fail("test -e /etc/initrd-release")
    if later:
        scan = f"ssh-keyscan -p {later} {address_of(machine, interface)} 2>/dev/null | grep -v '^#' | cut -d ' ' -f 3"
        stage2 = admin.wait_until_succeeds(f"{scan} | grep .", timeout=seconds(600)).split()
        if set(stage1) & set(stage2):
            raise AssertionError("stage 1 and the running system show one host key")
