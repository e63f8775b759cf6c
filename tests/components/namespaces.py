"""Machines as network namespaces joined by virtual cables: real packets, rules and routes. It takes root."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from programs import search_path

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = {**os.environ, "PATH": search_path(), "LC_ALL": "C"}


def ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], env=ENVIRONMENT, capture_output=True, text=True, check=False)


def inside(space: str, *argv: str, text: str | None = None, seconds: int = 60) -> subprocess.CompletedProcess[str]:
    """Run a program in a namespace."""
    words = ["ip", "netns", "exec", space, *argv]
    return subprocess.run(
        words, env=ENVIRONMENT, input=text, capture_output=True, text=True, timeout=seconds, check=False
    )


@contextmanager
def running(space: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """A program that runs in a namespace until the block ends."""
    words = ["ip", "netns", "exec", space, *argv]
    process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def namespaces(*names: str) -> Iterator[list[str]]:
    """Namespaces with their loopback up, gone at the end of the block; skip the running test where they cannot be."""
    made = [f"nw{os.getpid()}{name}" for name in names]
    try:
        for space in made:
            done = ip("netns", "add", space)
            if done.returncode:
                pytest.skip("needs network namespaces (root, and a kernel that has them)")
            assert ip("-n", space, "link", "set", "lo", "up").returncode == 0
        yield made
    finally:
        for space in made:
            ip("netns", "del", space)


def cable(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Join two namespaces: each says its name, its interface's, and the address of that."""
    (a, a_name, _), (b, b_name, _) = one, other
    done = ip("-n", a, "link", "add", a_name, "type", "veth", "peer", "name", b_name, "netns", b)
    if done.returncode:
        pytest.skip("needs network namespaces (root, and a kernel that has them)")
    for space, name, address in (one, other):
        for words in (("address", "add", address, "dev", name), ("link", "set", name, "up")):
            done = ip("-n", space, *words)
            assert done.returncode == 0, done.stderr
