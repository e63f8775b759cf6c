"""References to secrets: where each lies, what NixOS needs for it, and what a person does once.

The secret itself stands in none of them. Wherever a host needs one (a login's password hash, a WiFi key, an option that
takes a file), one of these is given. Its `at` is the path by which programs read the secret on the running host.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from nixwright.errors import Mistake
from nixwright.nix.values import NixPath, config
from nixwright.record import origin_of, record
from nixwright.report.mistakes import HIDDEN
from nixwright.runbook import Phase, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nixwright.layout.model import Layout
    from nixwright.nix.values import Value

MODULE = "secrets"  # the generated module that holds what the references need
_PATH = re.compile(r"(/[A-Za-z0-9._@+-]+)+")
_CRYPTED = re.compile(r"\$[0-9a-z]+\$")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]*")
_BELOW = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._@+-]*/)*[A-Za-z0-9_][A-Za-z0-9._@+-]*")
_ROOT = "../.."  # from modules/HOST/ to the flake
# systemd and wpa_supplicant read such a line alike only without quotes and backslashes.
_ADD_LINE = """\
install -d -m 700 {directory}
read -r -s -p '{name}: ' value && echo
case $value in
  *[\\'\\"\\\\]*) echo 'It has a quote or a backslash: write the line by hand.' ;;
  *) (umask 077 && printf '%s=%s\\n' {name} "$value" >> {path}) ;;
esac
unset value
"""
_FOR_LOGINS = "a SecretFile, SopsSecret or AgeSecret"
_KEY_OF_THE_HOST = "/etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True, slots=True)
class Use:
    """What a secret is for: of a login's password only the hash is kept, anything else as it is typed."""

    what: str  # "the password of ada"
    field: str  # "User.password"
    hashed: bool = False


class Reference:
    """The base of every reference; subclasses are decorated with `@record`."""

    inputs: ClassVar[tuple[str, ...]] = ()  # flake inputs that bring the module it needs: the user's own
    options: ClassVar[tuple[str, ...]] = ()  # first names of the options that this module brings

    @property
    def at(self) -> Value:
        """Where programs read the secret: a path, or what evaluates to one."""
        raise NotImplementedError

    def settings(self, use: Use) -> Iterator[tuple[str, Value, str]]:
        """Yield what NixOS needs: attribute path, value, comment."""
        yield from ()

    def rules(self, layout: Layout, use: Use) -> Iterator[Mistake]:
        """Whole-host rules, each with this reference's own origin."""
        yield from ()

    def steps(self, use: Use, layout: Layout) -> Iterator[Step]:
        """What a person does once."""
        yield from ()


@record
class SecretFile(Reference):
    """A secret by the path on the target where it lies; a person writes it there when the host is installed."""

    path: str

    def wrong(self) -> Iterator[Mistake]:
        """What is no path may be the secret: it is not repeated."""
        yield from _wrong_path("path", self.path, 'SecretFile("/persist/passwords/NAME")')

    @property
    def at(self) -> Value:
        """The path itself."""
        return self.path

    def rules(self, layout: Layout, use: Use) -> Iterator[Mistake]:
        """The file is there after the next boot."""
        yield from _survives(self, self.path, layout, use)

    def steps(self, use: Use, layout: Layout) -> Iterator[Step]:
        """Write the file."""
        yield _written(self.path, use)


@record
class EnvironmentFile(Reference):
    """A variable in a file of `NAME=value` lines on the target, as systemd's `EnvironmentFile=` reads it.

    Several secrets may share a file, each a variable of its own.
    """

    path: str
    variable: str

    def wrong(self) -> Iterator[Mistake]:
        """What is no path or no name may be the secret: it is not repeated."""
        yield from _wrong_path("path", self.path, 'EnvironmentFile("/var/lib/secrets/wifi.env", "HOME_PSK")')
        if not _VARIABLE.fullmatch(self.variable):
            allowed = "the name of a variable: A-Z, 0-9 and _"
            yield Mistake("variable", "is no name", HIDDEN, allowed, 'variable="HOME_PSK"')

    @property
    def at(self) -> Value:
        """The path of the file."""
        return self.path

    def rules(self, layout: Layout, use: Use) -> Iterator[Mistake]:
        """The file is there after the next boot; and a hash has no use for a variable."""
        yield from _survives(self, self.path, layout, use)
        if use.hashed:
            what = "a password's hash is read from a file that holds nothing else"
            fix = 'SecretFile("/persist/passwords/NAME")'
            yield Mistake(use.field, what, "EnvironmentFile", _FOR_LOGINS, fix, origin_of(self))

    def steps(self, use: Use, layout: Layout) -> Iterator[Step]:
        """Add the line."""
        directory = shlex.quote(f"/mnt{self.path}".rpartition("/")[0])
        path = shlex.quote(f"/mnt{self.path}")
        commands = _ADD_LINE.format(directory=directory, path=path, name=self.variable)
        why = f"{_capital(use.what)} is asked for and written on the target's own disk; it is in no shell history."
        expect = f"`stat -c %a {path}` shows 600."
        yield Step(Phase.SECRETS, f"The variable {self.variable}", why, commands, expect)


@record
class Credential(Reference):
    """A systemd credential of one unit, encrypted on the target with its own key (and its TPM, where it has one).

    Only that unit can read it, at `$CREDENTIALS_DIRECTORY/NAME`.
    """

    name: str
    unit: str  # without .service
    store: str = "/etc/credstore.encrypted"

    def wrong(self) -> Iterator[Mistake]:
        """Names that systemd does not take."""
        if not _NAME.fullmatch(self.name):
            yield Mistake("name", "is no name of a credential", HIDDEN, "letters, digits and _ . -", 'name="auth-key"')
        if not _UNIT.fullmatch(self.unit) or self.unit.endswith(".service"):
            yield Mistake("unit", "is no name of a unit", HIDDEN, "without .service", 'unit="tailscaled-autoconnect"')
        yield from _wrong_path("store", self.store, 'store="/persist/credstore"')

    @property
    def at(self) -> Value:
        """Where the unit finds it."""
        return f"/run/credentials/{self.unit}.service/{self.name}"

    @property
    def file(self) -> str:
        """Where it lies, encrypted."""
        return f"{self.store}/{self.name}.cred"

    def settings(self, use: Use) -> Iterator[tuple[str, Value, str]]:
        """Hand it to the unit."""
        path = f'systemd.services."{self.unit}".serviceConfig.LoadCredentialEncrypted'
        yield path, [f"{self.name}:{self.file}"], ""

    def rules(self, layout: Layout, use: Use) -> Iterator[Mistake]:
        """It is there after the next boot, and so is the key that it is encrypted with; no login reads one."""
        yield from _survives(self, self.file, layout, use)
        if use.hashed:
            what = "only a unit reads a credential, and users are made by none"
            fix = 'SecretFile("/persist/passwords/NAME")'
            yield Mistake(use.field, what, "Credential", _FOR_LOGINS, fix, origin_of(self))

    def steps(self, use: Use, layout: Layout) -> Iterator[Step]:
        """Encrypt it on the running target: the key that does is the target's own."""
        command = (
            f"sudo install -d -m 700 {self.store}\n"
            f"systemd-ask-password -n '{self.name}:' | sudo systemd-creds encrypt --name={self.name} - {self.file}\n"
            f"sudo systemctl restart {self.unit}"
        )
        why = f"{_capital(use.what)}: on the running host, which alone can decrypt what it has encrypted."
        yield Step(Phase.AFTER, f"The credential {self.name}", why, command, f"`systemctl status {self.unit}` is well.")


@record
class SopsSecret(Reference):
    """A secret in a file that sops has encrypted, committed with the flake; `file` is its path from the flake's root.

    The host decrypts it with its own SSH key. Needs the flake input sops-nix.
    """

    name: str
    file: str

    inputs: ClassVar[tuple[str, ...]] = ("sops-nix",)
    options: ClassVar[tuple[str, ...]] = ("sops",)

    def wrong(self) -> Iterator[Mistake]:
        """A name or a file that is none."""
        yield from _wrong_below(
            self, ("yaml", "yml", "json", "env", "ini", "bin"), 'SopsSecret("psk", "secrets/pi4.yaml")'
        )

    @property
    def at(self) -> Value:
        """Where sops-nix puts it: below /run/secrets, or /run/secrets-for-users."""
        return config.sops.secrets[self.name]["path"]

    def settings(self, use: Use) -> Iterator[tuple[str, Value, str]]:
        """Declare it; what users are made with, is decrypted before them."""
        value: dict[str, Value] = {"sopsFile": NixPath(f"{_ROOT}/{self.file}")}
        if use.hashed:
            value["neededForUsers"] = True
        yield f'sops.secrets."{self.name}"', value, ""

    def steps(self, use: Use, layout: Layout) -> Iterator[Step]:
        """Make the host's key before it is installed, encrypt for it."""
        key = _host_key(layout)
        yield _host_key_step(key)
        commands = (
            "age=$(nix shell --inputs-from . nixpkgs#ssh-to-age -c ssh-to-age -i host.pub)\n"
            f'sops --age "$age" {self.file}'
        )
        what = f"{_capital(use.what)} goes into the editor that sops opens, below `{self.name}`"
        hashed = ", as `mkpasswd -m yescrypt` prints it" if use.hashed else ""
        why = (
            f"{what}{hashed}. On your own machine, in the directory of the flake, beside `host.pub` of the step before."
        )
        expect = f"`git diff {self.file}` shows nothing readable but names. Commit it."
        yield Step(Phase.SECRETS, f"Encrypt {self.name} for this host", why, commands, expect)


@record
class AgeSecret(Reference):
    """A secret in a file of its own that age has encrypted, committed with the flake; `file` is its path from the root.

    The host decrypts it with its own SSH key. Needs the flake input agenix.
    """

    name: str
    file: str

    inputs: ClassVar[tuple[str, ...]] = ("agenix",)
    options: ClassVar[tuple[str, ...]] = ("age",)

    def wrong(self) -> Iterator[Mistake]:
        """A name or a file that is none."""
        yield from _wrong_below(self, ("age",), 'AgeSecret("psk", "secrets/psk.age")')

    @property
    def at(self) -> Value:
        """Where agenix puts it: below /run/agenix."""
        return config.age.secrets[self.name]["path"]

    def settings(self, use: Use) -> Iterator[tuple[str, Value, str]]:
        """Declare it."""
        yield f'age.secrets."{self.name}".file', NixPath(f"{_ROOT}/{self.file}"), ""

    def steps(self, use: Use, layout: Layout) -> Iterator[Step]:
        """Make the host's key before it is installed, encrypt for it."""
        yield _host_key_step(_host_key(layout))
        program = "mkpasswd -m yescrypt" if use.hashed else "systemd-ask-password -n"
        commands = f"{program} | nix shell --inputs-from . nixpkgs#age -c age -R host.pub -o {self.file}"
        why = f"{_capital(use.what)}: on your own machine, in the directory of the flake, beside `host.pub`."
        expect = f"`head -1 {self.file}` shows age-encryption.org. Commit it."
        yield Step(Phase.SECRETS, f"Encrypt {self.name} for this host", why, commands, expect)


Secret: TypeAlias = SecretFile | EnvironmentFile | Credential | SopsSecret | AgeSecret


def _wrong_path(field: str, path: str, fix: str) -> Iterator[Mistake]:
    """What is no path may be the secret: it is not repeated."""
    if not _PATH.fullmatch(path) or "/../" in f"{path}/" or _CRYPTED.match(path):
        yield Mistake(field, "is no path", HIDDEN, "an absolute path on the target, of plain characters", fix)
    elif path.startswith("/nix/store/"):
        yield Mistake(field, "everybody can read the Nix store", path, "a path outside /nix/store", fix)


def _wrong_below(reference: SopsSecret | AgeSecret, endings: tuple[str, ...], fix: str) -> Iterator[Mistake]:
    if not _NAME.fullmatch(reference.name):
        yield Mistake("name", "is no name of a secret", HIDDEN, "letters, digits and _ . -", fix)
    if not _BELOW.fullmatch(reference.file) or reference.file.rpartition(".")[2] not in endings:
        allowed = f"a path from the flake's root that ends in .{' .'.join(endings)}"
        yield Mistake("file", "is no encrypted file", HIDDEN, allowed, fix)


def _survives(reference: Reference, path: str, layout: Layout, use: Use) -> Iterator[Mistake]:
    """What a person wrote once is there after the next boot, and early enough for logins."""
    if not layout.mounts:
        return
    mount = layout.mount_of(path)
    if not layout.survives(path):
        kept = ", ".join(m.path for m in layout.mounts if not m.wiped and m.needed_for_boot and m.path != "/nix")
        what = "would be gone after the next boot: it is on what is wiped"
        yield Mistake(
            use.field,
            what,
            path,
            f"below {kept}" if kept else "a dataset that is kept",
            "move the file there",
            origin_of(reference),
        )
    elif use.hashed and mount is not None and not mount.needed_for_boot:
        what = f"users are made before {mount.path} is mounted"
        fix = "needed_for_boot=True there, or move the file"
        yield Mistake(use.field, what, path, "a file system that stage 1 mounts", fix, origin_of(reference))


def _written(path: str, use: Use) -> Step:
    there = f"/mnt{path}"
    made = f"install -d -m 700 {there.rpartition('/')[0]}"
    if use.hashed:
        why = f"{_capital(use.what)} is asked for; only its hash is written, on the target's own disk."
        commands = f"{made}\n(umask 077 && mkpasswd -m yescrypt > {there})"
        title = _capital(use.what.removeprefix("the ")).replace("`", "")
        return Step(Phase.SECRETS, title, why, commands, f"`{there}` starts with `$y$`.")
    why = f"{_capital(use.what)} is asked for and written on the target's own disk; it is in no shell history."
    commands = (
        f"{made}\n"
        "read -r -s -p 'The secret: ' value && echo\n"
        f"(umask 077 && printf '%s' \"$value\" > {there})\n"
        "unset value"
    )
    return Step(Phase.SECRETS, f"The file {path.rpartition('/')[2]}", why, commands, f"`stat -c %a {there}` shows 600.")


def _host_key(layout: Layout) -> str:
    return next((p for p in (_KEY_OF_THE_HOST, f"/persist{_KEY_OF_THE_HOST}") if layout.survives(p)), _KEY_OF_THE_HOST)


def _host_key_step(path: str) -> Step:
    why = "What is encrypted for this host is decrypted by its SSH key, so the key is made before NixOS is installed."
    commands = (
        f"install -d -m 755 /mnt{path.rpartition('/')[0]}\n"
        f"test -e /mnt{path} || ssh-keygen -q -t ed25519 -N '' -C '' -f /mnt{path}\n"
        f"cat /mnt{path}.pub"
    )
    return Step(
        Phase.SECRETS, "The host's own SSH key", why, commands, "Copy the line to `host.pub` beside your flake."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
