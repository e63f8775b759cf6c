"""A run with one of each: passed, failed, an error, a skip, sabotages seen and not."""

from __future__ import annotations

from nixwright.runner.results import CheckResult, Excerpt, Outcome, Run, Subtest, Why

PROVES = (("Ssh", "only keys log in"), ("Host", "it boots"), ("Lcd", "the display is lit"))
PASSED = CheckResult(
    "pibox-boots",
    "pibox",
    "boots",
    Outcome.PASSED,
    proves=PROVES[1:2],
    subtests=(Subtest("it is up", 61.5, ok=True), Subtest("it switches", 10.25, ok=True)),
    seconds=72.0,
    system="x86_64-linux",
    derivation="/nix/store/0-boots.drv",
    when="2026-11-21T12:00:00Z",
)
FAILED = CheckResult(
    "pibox-network",
    "pibox",
    "network",
    Outcome.FAILED,
    Why.TEST,
    proves=PROVES,
    excerpt=Excerpt(
        "keys alone",
        'unit "sshd.service" reached state "failed" & <more>',
        ('  File "<string>", line 5, in <module>', '    machine.wait_for_unit("sshd.service")'),
        ("sshd.service",),
        ("machine: sshd[12]: no hostkeys available",),
    ),
    subtests=(Subtest("it boots", 50.0, ok=True), Subtest("only keys log in", None, ok=False)),
    seconds=55.0,
    system="x86_64-linux",
    log="/state/logs/pibox-network.log",
    screenshots=("/no/such/picture.png",),
    rerun="nixwright test pibox -k pibox-network",
)
ERROR = CheckResult(
    "host-pibox",
    "pibox",
    "evaluates",
    Outcome.ERROR,
    Why.EVALUATION,
    words="The option `networking.hostNam' does not exist.",
    places=("hosts/pibox.py:44  Host.name",),
)
SKIPPED = CheckResult(
    "pibox-containers", "pibox", "containers", Outcome.SKIPPED, Why.NO_BUILDER, words="it needs uid-range"
)
SEEN = CheckResult(
    "pibox-network",
    "pibox",
    "network",
    Outcome.PASSED,
    sabotage="password-login",
    excerpt=Excerpt("keys alone", "a password was taken"),
    seconds=40.0,
)
UNSEEN = CheckResult(
    "pibox-network", "pibox", "network", Outcome.FAILED, Why.UNSEEN, sabotage="open-port", words="it stays green"
)
RUN = Run(
    (PASSED, FAILED, ERROR, SKIPPED, SEEN, UNSEEN),
    ("nothing came: no attribute was evaluated",),
    ("left to nix flake check: drift",),
    (("nix", "2.34.8"), ("system", "x86_64-linux without KVM")),
    "2026-11-21T12:00:00Z",
    130.0,
)
