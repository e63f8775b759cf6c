"""What looks like a secret in plain values: known shapes, and strings too random to be anything else.

It sees pairs of a path and a value and knows nothing of Nix; the settings of a host and the texts of generated files
are both looked at in this way. A finding says where and which shape, and never repeats the secret, nor a part of it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Finding:
    """One value that looks like a secret: its path, the line in it (from 1), and what it looks like."""

    path: str
    line: int
    looks_like: str


# Shapes that are a secret wherever they stand; the first that matches names a line.
_SHAPES = (
    (re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"), "a private key"),
    (re.compile(r"AGE-(?:SECRET-KEY|PLUGIN-[A-Z0-9-]+)-1[0-9A-Z]{20,}", re.IGNORECASE), "an age secret key"),
    (re.compile(r"\$(?:1|2[abxy]|5|6|7|y|gy|sha1|argon2(?:id|i|d))\$[^\s\"']{8,}"), "a password hash"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), "an AWS access key"),
    (re.compile(r"\b(?:gh[oprsu]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"), "a GitHub token"),
    (re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"), "a GitLab token"),
    (re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"), "a Slack token"),
    (re.compile(r"\b(?:sk|rk)_live_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{20,}"), "an API key"),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{35}"), "a Google API key"),
    (re.compile(r"\btskey-[a-z]+-[A-Za-z0-9-]{10,}"), "a Tailscale key"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), "a JSON web token"),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'$]+:(?!\$)[^\s/@\"'$]+@"), "a URL with a password"),
    (
        re.compile(
            r"(?<![A-Za-z0-9_])(?:#?psk)\s*=\s*(?!ext:|\$|@|<|null\b)(?:\"[^\"]{8,}\"|'[^']{8,}'|[^\s\"';]{8,})",
            re.IGNORECASE,
        ),
        "a WiFi key",
    ),
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?:password|passwd|passphrase|secret|token|api[-_]?key|auth[-_]?key)\s*[=:]\s*"
            r"(?!\$|@|<|/|null\b|true\b|false\b|[\w.]+\()[\"']?[^\s\"';,(){}]{6,}",
            re.IGNORECASE,
        ),
        "a password",
    ),
)
# The last name of a path whose plain string is the secret itself; a name that ends in File or Path is a reference.
_SECRET_NAME = re.compile(
    r"^(?:psk|pskraw|password|passwd|passphrase|(?:initial)?(?:hashed)?password|secret|token|privatekey|presharedkey"
    r"|secretkey|apikey|authkey|wep-?key\d?|sae-?password)$"
)
_REFERENCE = re.compile(r"^(?:ext:[^=\s]+|/\S+|\$\{?\w+\}?|@[\w.-]+@|%[dt]/\S+|<[^>]+>|[!*x]{0,2})$")

# What is public though it looks random. Taken out of a line before its words are weighed.
_PUBLIC = re.compile(
    r"""
      \b(?:sk-)?(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp\d+)(?:@openssh\.com)?\s+AAAA[A-Za-z0-9+/=]+   # ssh keys
    | \bSHA256:[A-Za-z0-9+/]{43}=?                                         # their fingerprints
    | \bage1[02-9ac-hj-np-z]{50,}                                          # age recipients
    | /nix/store/[0-9a-z]{32}-[\w.+?=-]+                                   # store paths
    | \bsha(?:1|256|512)-[A-Za-z0-9+/]{27,88}={0,2}                        # SRI hashes
    | \b(?:sha(?:1|256|512)|md5)[:=]\s?["']?[0-9a-z]{32,128}               # named digests, base 16 and 32
    | \b(?i:digest)[\s:=]+["']?[0-9a-z-]{8,}                                    # of a generated file's first line
    | \b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b   # UUIDs
    | /dev/[\w./:@+-]+ | \b(?:ata|nvme|usb|scsi|wwn|mmc|virtio|dm)-[\w.:-]+    # disks by id
    | \b[\w.-]+-\d+:[A-Za-z0-9+/]{43}=                                     # public keys of binary caches
    | (?<![\w+/=-])/(?:[\w.@-]{2,24}/)+[\w.@-]{2,24}(?![\w+/=])                # paths of files
    | https?://[^\s"'<>]+
    """,
    re.VERBOSE,
)
_PUBLIC_NAME = re.compile(
    r"(?:hash|sha256|sha512|digest|rev|narhash|publickey|publickeys|hostid|machineid|fingerprint|uuid|recipient|recipients)$"
)
# What has none of these has no secret either: most texts are passed over with one look.
_MAYBE = re.compile(
    r"[a-z0-9+/_-]{20}|PRIVATE|AGE-|\$\w+\$|AKIA|ASIA|xox|eyJ|://|psk|passw|passphrase|secret|token|key", re.IGNORECASE
)
_WORD = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_HEX_KEY = re.compile(r"(?<![0-9a-zA-Z])[0-9a-fA-F]{64}(?![0-9a-zA-Z])")
_BITS = 3.9  # Shannon bits a character: prose and paths in one word lie below, 24 random base64 characters above
_HEX_BITS = 3.0
_HEX_LENGTH = 32  # a key of 128 bits
_LONG = 24  # characters without any separator, from which capitals are not needed to tell it from a name


def may_hide(name: str, text: str) -> bool:
    """Tell, at a glance, whether `scan` could find anything in a text whose path ends in that name."""
    return bool(_MAYBE.search(text)) or _names_a_secret(name)


def _names_a_secret(name: str) -> bool:
    return bool(_SECRET_NAME.match(name.strip('"').lower().replace("_", "")))


def scan(values: Iterable[tuple[str, object]]) -> list[Finding]:
    """Return what looks like a secret, in order: the values may be strings, or lists and dicts of them (keys too).

    A path is dotted; its last name decides what a plain string in it can be (`psk`, `hashedPassword`, `passwordFile`).
    """
    found: dict[Finding, None] = {}
    for path, value in values:
        for where, text in _strings(path, value):
            found |= dict.fromkeys(_scan(where, text))
    return list(found)


def _strings(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, bytes):
        yield path, value.decode("latin-1")
    elif isinstance(value, Mapping):
        for number, (key, below) in enumerate(value.items()):
            name = str(key)
            hidden = f"{path}.(key {number + 1})"  # a key that is a secret must not stand in the path
            if any(True for _ in _scan(path, name)):
                yield hidden, name
                name = f"(key {number + 1})"
            yield from _strings(f"{path}.{name}", below)
    elif isinstance(value, Sequence):
        for number, below in enumerate(value):
            yield from _strings(f"{path}[{number}]", below)


def _scan(path: str, text: str) -> Iterator[Finding]:
    name = re.sub(r"(\[\d+\])+$", "", path).rpartition(".")[2].strip('"')
    plain = name.lower().replace("_", "")
    if _SECRET_NAME.match(plain) and not _REFERENCE.match(text):
        yield Finding(path, 1, "a password hash" if "hash" in plain else "a secret in clear")
        return
    if not _MAYBE.search(text):
        return
    public = bool(_PUBLIC_NAME.search(plain))
    for number, line in enumerate(text.splitlines(), 1):
        if not _MAYBE.search(line):
            continue
        shape = next((what for pattern, what in _SHAPES if pattern.search(line)), "")
        if not shape and not public:
            shape = _random(_PUBLIC.sub(" ", line))
        if shape:
            yield Finding(path, number, shape)


def _random(line: str) -> str:
    """Say what a word of a line looks like that is too random to be a name, else nothing."""
    if _HEX_KEY.search(line):
        return "a key of 64 hex digits, as a WiFi PSK is"
    for word in _WORD.findall(line):
        bits = _bits(word)
        if _HEX.fullmatch(word):
            if len(word) >= _HEX_LENGTH and bits >= _HEX_BITS:
                return "a random string"
        elif bits >= _BITS and _mixed(word, 2 if len(word) >= _LONG and word.isalnum() else 3):
            return "a random string"
    return ""


def _mixed(word: str, least: int) -> bool:
    """Tell whether a word mixes at least so many kinds of characters, digits among them, as random text does."""
    kinds = sum(any(test(c) for c in word) for test in (str.isupper, str.islower, str.isdigit))
    turns = sum(_kind(a) != _kind(b) for a, b in pairwise(word))
    return kinds >= least and any(map(str.isdigit, word)) and turns * 3 >= len(word)


def _kind(character: str) -> int:
    return 0 if character.isupper() else 1 if character.islower() else 2 if character.isdigit() else 3


def _bits(word: str) -> float:
    """Return the Shannon entropy of a word, in bits a character."""
    return -sum(n / len(word) * math.log2(n / len(word)) for n in Counter(word).values())
