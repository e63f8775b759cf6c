"""One table of the configuration in force, changed by itself: a user, a container, the network. The rest stays.

    PUT, DELETE  /config/users/NAME               /config/containers/NAME        /config/container-networks/NAME
                 /config/container-volumes/NAME   /config/container-builds/NAME
    PATCH        /config/network

The body is the table as JSON, by the keys that it has in `config.toml`. PATCH changes what stands in the body, and
takes away what is null there (RFC 7396). What comes of it is a `config.toml` like any other, and judged as one; it is
written anew, so comments in it are gone.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nixwright.provisioning.plain_json import no_key_twice
from nixwright.provisioning.shape import Fault, RefusedError
from nixwright.provisioning.toml_text import toml_text

if TYPE_CHECKING:
    from nixwright.provisioning.shape import Way

_ROOMS = {
    "users": ("users",),
    "containers": ("containers", "container"),
    "container-networks": ("containers", "network"),
    "container-volumes": ("containers", "volume"),
    "container-builds": ("containers", "build"),
}
_NETWORK = "network"
_NAME = re.compile("[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Edit:
    """A table of `config.toml` by the way to it, and what takes its place: None is nothing. `merges`: RFC 7396."""

    way: tuple[str, ...]
    value: dict[str, Any] | None
    merges: bool = False


def way_of(method: str, path: str) -> tuple[str, ...] | None:
    """Return the way to the table that a request is about; None where there is no such request."""
    room, _, name = path.removeprefix("/config/").partition("/")
    if method == "PATCH" and path == f"/config/{_NETWORK}":
        return (_NETWORK,)
    if method in ("PUT", "DELETE") and path.startswith("/config/") and room in _ROOMS and _NAME.fullmatch(name):
        return (*_ROOMS[room], name)
    return None


def path_of(way: tuple[str, ...]) -> tuple[str, str] | None:
    """Return method and path of the request that puts a table in its place; None where there is none."""
    if way == (_NETWORK,):
        return "PATCH", f"/config/{_NETWORK}"
    room = next((room for room, head in _ROOMS.items() if head == way[:-1]), None)
    return None if room is None or not _NAME.fullmatch(way[-1]) else ("PUT", f"/config/{room}/{way[-1]}")


def edit_of(method: str, way: tuple[str, ...], body: bytes) -> Edit:
    """Return what a request asks for. Raises RefusedError where its body is no table."""
    if method == "DELETE":
        return Edit(way, None)
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=no_key_twice)
        json.dumps(value, ensure_ascii=False).encode()  # half a character can be said in JSON, and nowhere else
    except (ValueError, RecursionError) as error:
        raise RefusedError(Fault(way, f"is no JSON: {str(error)[:80]}")) from None
    if not isinstance(value, dict):
        raise RefusedError(Fault(way, "is no table", "", "an object of JSON"))
    return Edit(way, value, merges=method == "PATCH")


def edited(data: bytes, edit: Edit) -> bytes:
    """Return a `config.toml` with the change. Raises RefusedError where what is taken away is not there."""
    config = tomllib.loads(data.decode("utf-8"))
    *above, last = edit.way
    table: dict[str, Any] = config
    for step in above:
        table = table.setdefault(step, {})
    if edit.value is None:
        if last not in table:
            raise RefusedError(Fault(edit.way, "is not there: nothing to take away"))
        del table[last]
    else:
        table[last] = _merged(table.get(last), edit.value) if edit.merges else edit.value
        _judge_null(table[last], edit.way)
    return toml_text(config).encode()


def _merged(old: Any, patch: Any) -> Any:
    """Return what a patch makes of a value (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found


def _judge_null(value: Any, way: Way) -> None:
    """Refuse what TOML cannot say."""
    if value is None:
        raise RefusedError(Fault(way, "is null", "", "a value, or leave it out"))
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        _judge_null(each, (*way, key))
