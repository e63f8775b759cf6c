"""The shell that disko runs for what it cannot say itself; every piece may run again and changes nothing then.

Keys and passphrases are kept in a directory of the installer's memory from the first question until its shutdown.
Where a passphrase stands there already it is not asked for: so an installation can run unattended.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nixwright.layout.content import KeyFile, Luks
    from nixwright.layout.model import Container, Layout
    from nixwright.layout.partition import Raw

KEYS = "/run/luks-keys"  # /run is a tmpfs on the NixOS installer
_ZFS_LEAST = 8  # characters of a passphrase: zfsprops(7), keyformat


def passphrase_file(luks: Luks) -> str:
    """Where the container's passphrase lies while the installer runs."""
    return f"{KEYS}/{luks.name}.passphrase"


def key_copy(layout: Layout, key: KeyFile) -> str:
    """Where a copy of the key file lies while the installer runs."""
    return f"{KEYS}/{layout.home_of(key).luks.name}{key.path.replace('/', '-')}"


def before_format(container: Container) -> str:
    """Get at a container before disko formats it: open one that is there already, ask for a new one's passphrase.

    disko itself asks only when the device is empty, and cannot open a container that it made on another day.
    """
    return f"""\
if cryptsetup isLuks "{container.device}"; then
{indent(_open(container), "  ")}else
{indent(_ask(container.luks.name, passphrase_file(container.luks)), "  ")}fi
"""


def _ask(name: str, file: str, least: int = 1) -> str:
    """Ask for a new passphrase, twice, unless it is there already. `least` characters, where more than one."""
    short = f"""\
    elif test "${{#first}}" -lt {least}; then
      echo "It takes {least} characters or more, please try again." >&2
"""
    return f"""\
install -d -m 0700 {KEYS}
until test -s {file}; do
  (
    set +x
    IFS= read -r -s -p "New passphrase for {name}: " first
    IFS= read -r -s -p "The same again: " second
    if test "$first" != "$second"; then
      echo "They differ, please try again." >&2
{short if least > 1 else ""}    else
      umask 077
      printf '%s' "$first" >{file}
    fi
  )
done
"""


def pool_passphrase_file(pool: str) -> str:
    """Where the passphrase of a pool with ZFS's own encryption lies while the installer runs."""
    return f"{KEYS}/pool-{pool}.passphrase"


def before_pool(pool: str) -> str:
    """Get at a pool that is there already and load its key; ask for a new one's passphrase."""
    return f"""\
if zpool list {pool} >/dev/null 2>&1 || zpool import -N -f {pool} 2>/dev/null; then
{indent(_load_key(pool), "  ")}else
{indent(_ask(pool, pool_passphrase_file(pool), _ZFS_LEAST), "  ")}fi
"""


def after_pool(pool: str) -> str:
    """From now on the passphrase is asked for: the file that the pool was made with is the installer's alone."""
    return f"zfs set keylocation=prompt {pool}\n"


def open_pool(pool: str) -> str:
    """Import a pool and load its key, with the passphrase that is known, or else by asking."""
    return f"""\
zpool list {pool} >/dev/null 2>&1 || zpool import -N -R /mnt {pool}
{_load_key(pool)}"""


def _load_key(pool: str) -> str:
    file = pool_passphrase_file(pool)
    return f"""\
if test "$(zfs get -H -o value keystatus {pool})" = unavailable; then
  if test -s {file}; then
    zfs load-key -L file://{file} {pool}
  else
    zfs load-key {pool}
  fi
fi
"""


def make_keys(layout: Layout, container: Container) -> str:
    """Make the key files that are not there yet, and copy all to where the other containers are opened from."""
    text = ""
    for key in container.keys.files if container.keys else ():
        file = f'"$keys{key.path}"'
        text += f"""\
if ! test -e {file}; then
  install -d -m 0700 "$(dirname {file})"
  (umask 077 && head -c {key.size} /dev/urandom >{file}.new)
  sync {file}.new
  mv {file}.new {file}
fi
install -m 0400 {file} {key_copy(layout, key)}
"""
    return _mounted(container, text)


def _copy_keys(layout: Layout, container: Container) -> str:
    keys = container.keys.files if container.keys else ()
    missing = " || ".join(f"! test -s {key_copy(layout, k)}" for k in keys)
    text = "".join(f'install -m 0400 "$keys{key.path}" {key_copy(layout, key)}\n' for key in keys)
    return f"if {missing}; then\n{indent(_mounted(container, text, '-o ro '), '  ')}fi\n"


def _mounted(container: Container, text: str, options: str = "") -> str:
    kind = container.keys.kind if container.keys else ""
    return f"""\
install -d -m 0700 {KEYS}
keys=$(mktemp -d)
mount -t {kind} {options}{container.luks.device} "$keys"
{text}umount "$keys"
rmdir "$keys"
"""


def add_key(layout: Layout, container: Container, key: KeyFile) -> str:
    """Let a key file open a container that was formatted with a passphrase, unless it does already.

    disko's `additionalKeyFiles` would add one more slot each time that it formats.
    """
    copy = key_copy(layout, key)
    return f"""\
if ! cryptsetup open --test-passphrase --key-file {copy} "{container.device}"; then
  cryptsetup luksAddKey --key-file {_secret(container.luks)} \\
    "{container.device}" {copy}
fi
"""


def open_all(layout: Layout, containers: Sequence[Container]) -> str:
    """Open the containers of one disk, in the order in which the keys come.

    disko's own mount script opens only one container of a table (its issue 1263).
    """
    text = ""
    for container in containers:
        key = None if container.luks.asks else container.luks.key
        text += _open(container, None if key is None else key_copy(layout, key))
        if container.keys is not None:
            text += _copy_keys(layout, container)
    return text


def _open(container: Container, key: str | None = None) -> str:
    """Open one container unless it is open: by a key file, by the passphrase that is known, or else by asking."""
    luks = container.luks
    command = f"cryptsetup open {'--allow-discards ' if luks.discards else ''}"
    target = f'"{container.device}" {luks.name}'
    unless = f"if ! cryptsetup status {luks.name} >/dev/null; then"
    if key is not None:
        return f"{unless}\n  {command}--key-file {key} \\\n    {target}\nfi\n"
    return f"""\
if cryptsetup status {luks.name} >/dev/null; then
  :
elif test -s {passphrase_file(luks)}; then
  {command}--key-file {_secret(luks)} \\
    {target}
else
  {command}{target}
fi
"""


def close_all(containers: Sequence[Container]) -> str:
    """Close the containers of one disk, the last first: disko's own script closes only one of a table.

    disko runs this after each unmounted file system of the disk, too, when a pool may still be in use: deferred, the
    kernel closes a container once its last user is gone.
    """
    closing = [
        f"if cryptsetup status {c.luks.name} >/dev/null; then\n  cryptsetup close --deferred {c.luks.name}\nfi\n"
        for c in reversed(containers)
    ]
    return "".join(closing)


def write_raw(raw: Raw, device: str) -> str:
    """Write an image to its sector. It must not be longer than the space set aside for it."""
    return f"""\
if test "$(stat -c %s "{raw.file}")" -gt {raw.size.bytes}; then
  echo "{raw.file} is longer than the {raw.size.bytes} bytes set aside for {raw.name}" >&2
  exit 1
fi
dd if="{raw.file}" of="{device}" bs=512 seek={raw.start.sectors} conv=fsync,notrunc
"""


def blank_snapshot(dataset: str) -> str:
    """Snapshot a dataset while it is empty, once."""
    return f"""\
if ! zfs list -H -t snapshot {dataset}@blank >/dev/null 2>&1; then
  zfs snapshot {dataset}@blank
fi
"""


def _secret(luks: Luks) -> str:
    """The passphrase as a file without the newline that an editor may have put at its end."""
    return f"<(set +x && printf '%s' \"$(cat {passphrase_file(luks)})\")"
