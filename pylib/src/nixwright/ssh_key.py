"""OpenSSH public keys, as one line of `authorized_keys` holds them: is it one, and if not, why."""

from __future__ import annotations

import base64
import binascii

# sshd(8), AUTHORIZED_KEYS FILE FORMAT; how many length-prefixed fields follow the type in the blob (RFC 4253 6.6,
# RFC 5656 3.1, RFC 8709 4, OpenSSH's PROTOCOL.u2f).
KEY_FIELDS = {
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
    "sk-ssh-ed25519@openssh.com": 2,
}
_ED25519 = 32  # bytes of the public point


def wrong_with(line: str) -> str:
    """Return what is wrong with the line, in a few words; empty where it is a public key."""
    if "PRIVATE KEY" in line:
        return "is a private key"
    if "\n" in line or "\r" in line:
        return "is more than one line"
    words = line.split()
    # options may stand before the type: `restrict,command="..." ssh-ed25519 ...`
    at = next((i for i, w in enumerate(words) if w in KEY_FIELDS), None)
    if at is None:
        return "is of a type that OpenSSH no longer takes" if "ssh-dss" in words else "does not name a type of key"
    if at + 1 == len(words):
        return "has nothing after the type"
    return key_damage(words[at], words[at + 1])


def key_damage(kind: str, text: str) -> str:
    """Return what is wrong with the key itself, of the type that it is said to be."""
    try:
        fields = _key_fields(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return "is cut short or damaged"
    if fields[:1] != [kind.encode()]:
        return "says another type inside"
    if len(fields) != 1 + KEY_FIELDS[kind] or (kind == "ssh-ed25519" and len(fields[1]) != _ED25519):
        return "is cut short or damaged"
    return ""


def _key_fields(blob: bytes) -> list[bytes]:
    """Split a blob into its length-prefixed fields. Raises ValueError where it does not end with one."""
    fields, at = [], 0
    while at < len(blob):
        length = int.from_bytes(blob[at : at + 4], "big")
        end = at + 4 + length
        if end > len(blob):
            raise ValueError("a field is longer than what is left")
        fields.append(blob[at + 4 : end])
        at = end
    return fields
