"""The page that provisions a device, in a real browser: what a person does there, by Chromium's own protocol."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from programs import need
from provisioning_example import SECRET, SMALL, WHOLE
from provisioning_server import key, put, server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Browser:
    """A tab of Chromium, spoken to over a pipe: messages of JSON that end in a null byte."""

    def __init__(self, to: int, of: int) -> None:
        self.to, self.of, self.left, self.number = to, of, b"", 0
        self.session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("DOM.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        asked = {"id": self.number, "method": method, "params": parameters}
        os.write(self.to, json.dumps(asked | ({"sessionId": self.session} if self.session else {})).encode() + b"\0")
        while True:
            while b"\0" not in self.left:
                data = os.read(self.of, 1 << 16)
                assert data, "the browser has ended"
                self.left += data
            text, _, self.left = self.left.partition(b"\0")
            said = json.loads(text)
            if said.get("id") == self.number:
                assert "result" in said, said
                result: dict[str, Any] = said["result"]
                return result

    def value(self, script: str) -> Any:
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def until(self, script: str) -> None:
        for _ in range(600):
            try:
                if self.value(script) is True:
                    return
            except AssertionError:  # a page on its way to another
                pass
            time.sleep(0.1)
        raise AssertionError(f"{script}: {self.value('document.body.innerText')}")

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.until(f"document.readyState == 'complete' && location.href == {json.dumps(address)}")


@contextmanager
def browser(room: Path) -> Iterator[Browser]:
    need("chromium")
    mine, its = os.pipe(), os.pipe()
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
    words += ["--disable-dev-shm-usage", "--no-proxy-server", f"--user-data-dir={room}", "about:blank"]
    script = f'exec chromium "$@" 3<&{mine[0]} 4>&{its[1]}'
    with (room.parent / "chromium.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            ["bash", "-c", script, "chromium", *words],
            pass_fds=(mine[0], its[1]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        os.close(mine[0])
        os.close(its[1])
        yield Browser(mine[1], its[0])
    finally:
        os.killpg(process.pid, 9)
        process.wait(30)
        os.close(mine[1])
        os.close(its[0])


def test_a_person_tells_a_device_who_it_is(tmp_path: Path) -> None:
    need("chromium", "ssh-keygen")
    wrong = WHOLE.replace('shell = "zsh"', 'shell = "<b>fish</b>"')
    right = put(
        tmp_path / "right.toml",
        SMALL.partition("AAAA")[0] + key(tmp_path / "ada").split()[1] + ' ada"\n' + SMALL.partition('laptop"\n')[2],
    )
    with server(tmp_path) as served, browser(tmp_path / "profile") as tab:
        home = f"http://127.0.0.1:{served.port}/"
        tab.open(home)
        assert tab.value("document.title") == "gw"
        assert tab.value("document.querySelectorAll('label').length") == 2
        assert tab.value("getComputedStyle(document.body).maxWidth") != "none"  # its style is let through
        tab.value(f"document.getElementById('text').value = {json.dumps(wrong)}")
        tab.value("document.querySelector('button[value=check]').click()")
        tab.until("document.getElementById('state')?.textContent == 'Refused'")
        said = tab.value("document.querySelector('pre').innerText")
        assert said.startswith("config.toml:6  users.ada.shell: is not one of those that are known\n")
        assert '"<b>fish</b>"' in said  # shown, not taken for markup
        assert SECRET not in tab.value("document.documentElement.outerHTML")
        assert not (served.config / "config.toml").exists()
        tab.value("document.querySelector('a').click()")
        tab.until(f"location.href == {json.dumps(home)} && !!document.getElementById('file')")
        node = tab.call("DOM.querySelector", nodeId=tab.call("DOM.getDocument")["root"]["nodeId"], selector="#file")
        tab.call("DOM.setFileInputFiles", files=[str(right)], nodeId=node["nodeId"])
        tab.value("document.querySelector('button[value=apply]').click()")
        tab.until("document.getElementById('state')?.textContent == 'Done'")  # it comes again by itself
        assert (served.config / "config.toml").read_bytes() == right.read_bytes()
        tab.open(home)
        assert "This device knows who it is." in tab.value("document.body.innerText")
        assert tab.value("document.forms.length") == 0
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")
