"""Our overlays, compiled by dtc and applied by fdtoverlay to the CM4's device tree as Debian's kernel has it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from nixwright.parts.fan import overlay
from nixwright.parts.lcd import OVERLAY
from parts_host import CURVE, curves
from programs import need

TREE = "broadcom/bcm2711-rpi-cm4-io.dtb"
# What the labels name that our overlays use; nixpkgs' trees have them as symbols (dtc -@), Debian 12's do not.
LABELS = {"gpio": "/soc/gpio@7e200000", "pwm": "/soc/pwm@7e20c000", "spi": "/soc/spi@7e204000"}
PACKAGE = "linux-image-arm64"


def run(*argv: str | Path, text: str | None = None) -> str:
    return subprocess.run(argv, input=text, check=True, capture_output=True, text=True).stdout


def apt(root: Path, *argv: str, program: str = "apt-get") -> str:
    """Apt for arm64, with the machine's own sources and keys, and a state of its own: no root, nothing installed."""
    state, lists, cache = root / "status", root / "lists", root / "cache"
    for directory in (lists / "partial", cache / "archives/partial"):
        directory.mkdir(parents=True, exist_ok=True)
    state.touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State::status": state,
        "Dir::State::lists": lists,
        "Dir::Cache": cache,
        "APT::Sandbox::User": "",
    }
    said = [f"-o{name}={value}" for name, value in options.items()]
    return subprocess.run([program, *said, *argv], check=True, capture_output=True, text=True, cwd=root).stdout


def fetched(target: Path, root: Path) -> None:
    """Take the tree out of Debian's packages of the kernel for arm64: the image, or (Debian 14) what it is made of."""
    apt(root, "update")
    image = kernels(root, PACKAGE)[0]
    for name in (image, *kernels(root, image)):
        apt(root, "download", name)
        package = next(root.glob(f"{name}_*.deb"))
        member = next((f for f in run("dpkg-deb", "--contents", package).split() if f.endswith(TREE)), None)
        if member:
            break
    else:
        pytest.fail(f"no package of {image} has {TREE}")
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
    tree = subprocess.run(["tar", "-xO", member], input=tar, check=True, capture_output=True).stdout
    new = root / "new"
    new.write_bytes(tree)
    new.replace(target)


def kernels(root: Path, package: str) -> list[str]:
    """Return the packages of one kernel's version that a package depends on."""
    words = apt(root, "depends", "--important", package, program="apt-cache").replace(":arm64", "").split()
    return list(dict.fromkeys(w for w in words if re.fullmatch(r"linux-[a-z]+-\d.*", w) and w != package))


@pytest.fixture(scope="module")
def debians(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CM4's device tree, as Debian has it; kept in the user's cache."""
    need("dtc", "fdtoverlay", "fdtget")
    given_tree = os.environ.get("NIXWRIGHT_CM4_DTB")
    if given_tree:
        return Path(given_tree)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nixwright-tests"
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / Path(TREE).name
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
                pytest.skip("needs apt-get and dpkg-deb, or NIXWRIGHT_CM4_DTB set to bcm2711-rpi-cm4-io.dtb")
            fetched(target, tmp_path_factory.mktemp("apt"))
    return target


@pytest.fixture(scope="module")
def tree(debians: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with symbols for the labels, as nixpkgs' kernels have them."""
    if "__symbols__" in run("fdtget", "-l", debians, "/").split():
        return debians
    source = run("dtc", "-q", "-I", "dtb", "-O", "dts", debians)
    labels = "".join(f"{label}: &{{{path}}} {{}};\n" for label, path in LABELS.items())
    made = tmp_path_factory.mktemp("tree") / "symbols.dtb"
    run("dtc", "-q", "-@", "-I", "dts", "-O", "dtb", "-o", made, "-", text=source + labels)
    return made


@pytest.fixture
def applied(tree: Path, tmp_path: Path) -> Path:
    """Both overlays, applied."""
    out = tmp_path / "applied.dtb"
    overlays = [compiled(overlay(CURVE, 3), tmp_path / "fan.dtbo"), compiled(OVERLAY, tmp_path / "lcd.dtbo")]
    run("fdtoverlay", "-i", tree, "-o", out, *overlays)
    return out


def compiled(source: str, target: Path) -> Path:
    """Compile as nixpkgs' deviceTree.compileDTS does; a warning is a failure."""
    done = subprocess.run(
        ["dtc", "-I", "dts", "-O", "dtb", "-@", "-o", target], input=source, check=True, capture_output=True, text=True
    )
    assert not done.stderr
    return target


def get(tree: Path, node: str, name: str, kind: str = "s") -> str:
    return run("fdtget", "-t", kind, tree, node, name).strip()


def phandle(tree: Path, node: str) -> str:
    return get(tree, node, "phandle", "u")


def curve_of(tree: Path) -> dict[int, int]:
    """Read the curve back: from which °C on the fan runs at which level of 255."""
    levels = [int(x) for x in get(tree, "/pwm-fan", "cooling-levels", "u").split()]
    maps = run("fdtget", "-l", tree, "/thermal-zones/cpu-thermal/cooling-maps").split()
    trips = {phandle(tree, path): path for path in (f"/thermal-zones/cpu-thermal/trips/{name}" for name in maps)}
    found = {}
    for name in maps:
        node = f"/thermal-zones/cpu-thermal/cooling-maps/{name}"
        fan, low, high = get(tree, node, "cooling-device", "u").split()
        assert (fan, low) == (phandle(tree, "/pwm-fan"), high)
        trip = trips[get(tree, node, "trip", "u")]
        assert get(tree, trip, "type") == "active"
        found[int(get(tree, trip, "temperature", "u")) // 1000] = levels[int(low)]
    return dict(sorted(found.items()))


def test_the_tree_is_the_boards(debians: Path) -> None:
    assert "brcm,bcm2711" in get(debians, "/", "compatible").split()
    assert get(debians, "/aliases", "serial1") == "/soc/serial@7e215040"  # the header's UART: ttyS1
    assert get(debians, "/thermal-zones/cpu-thermal/trips/cpu-crit", "temperature", "u") == "90000"
    for path in LABELS.values():
        assert get(debians, path, "compatible")


def test_the_overlays_name_the_board_they_are_for(tmp_path: Path) -> None:
    """nixpkgs applies an overlay only where its compatible is one of the tree's."""
    need("dtc", "fdtget")
    for name, source in (("fan", overlay(CURVE, 3)), ("lcd", OVERLAY)):
        assert get(compiled(source, tmp_path / f"{name}.dtbo"), "/", "compatible") == "brcm,bcm2711"


def test_the_fan(applied: Path) -> None:
    assert get(applied, "/pwm-fan", "compatible") == "pwm-fan"
    assert get(applied, LABELS["pwm"], "status") == "okay"
    assert get(applied, "/pwm-fan", "pwms", "u").split() == [phandle(applied, LABELS["pwm"]), "0", "40000", "0"]
    assert get(applied, LABELS["pwm"], "#pwm-cells", "u") == "3"
    pins = f"{LABELS['gpio']}/fan-pins"
    assert (get(applied, pins, "brcm,pins", "u"), get(applied, pins, "brcm,function", "u")) == ("18", "2")
    assert get(applied, LABELS["pwm"], "pinctrl-0", "u") == phandle(applied, pins)
    assert curve_of(applied) == {55: 77, 65: 153, 75: 255}
    assert get(applied, "/thermal-zones/cpu-thermal/trips/fan-1", "hysteresis", "u") == "3000"
    assert get(applied, "/thermal-zones/cpu-thermal/trips/cpu-crit", "temperature", "u") == "90000"  # still there


def test_the_display(applied: Path) -> None:
    display = f"{LABELS['spi']}/display@0"
    assert get(applied, LABELS["spi"], "status") == "okay"
    assert get(applied, display, "compatible").split() == ["kubesail,pibox-lcd", "panel-mipi-dbi-spi"]
    gpio = phandle(applied, LABELS["gpio"])
    assert get(applied, LABELS["spi"], "cs-gpios", "u").split() == [gpio, "8", "1"]
    assert get(applied, display, "dc-gpios", "u").split() == [gpio, "25", "0"]
    assert get(applied, "/lcd-backlight", "gpios", "u").split() == [gpio, "22", "0"]
    assert get(applied, display, "backlight", "u") == phandle(applied, "/lcd-backlight")
    assert get(applied, f"{display}/panel-timing", "hactive", "u") == "240"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(curve=curves())
def test_every_curve_can_be_read_back(curve: dict[int, int], tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "curve.dtb"
    run("fdtoverlay", "-i", tree, "-o", out, compiled(overlay(curve, 3), tmp_path / "curve.dtbo"))
    read = curve_of(out)
    for degrees in range(1, 90):
        wanted = max((speed for start, speed in curve.items() if start <= degrees), default=0)
        got = max((level for start, level in read.items() if start <= degrees), default=0)
        assert got == round(wanted * 255 / 100 + 1e-9)


def test_an_overlay_for_another_board_is_not_applied(tree: Path, tmp_path: Path) -> None:
    wrong = compiled(overlay(CURVE, 3).replace("&pwm {", "&pwm9 {"), tmp_path / "wrong.dtbo")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("fdtoverlay", "-i", tree, "-o", tmp_path / "out.dtb", wrong)
    assert "FDT_ERR_NOTFOUND" in caught.value.stderr


def test_the_script_of_the_display_is_clean() -> None:
    need("shellcheck")
    script = Path(overlay.__code__.co_filename).with_name("programs") / "lcd-firmware.sh"
    assert run("shellcheck", script) == ""
