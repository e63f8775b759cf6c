"""The option schema: what a NixOS release says about each option, as JSON Schema nodes found by their path.

A node is a JSON Schema (draft 2020-12) with some keywords of our own; `nix/option-schema.nix` says which.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nixwright.errors import ToolError
from nixwright.options.shards import DEFINITIONS, Node, Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nixwright.options.settings import Path as OptionPath

SHIPPED = Path(__file__).parent / "data" / "nixos-26.05.schema"
OWN = "nixos.schema"  # beside hosts/: the schema of a project's own nixpkgs and modules
OPEN: Node = {}
_OF_UNIT = "systemd option"  # nixpkgs' unitOption


class Schema:
    """A schema in a file. Pieces of it are read when they are asked for."""

    _chosen: ClassVar[Schema | None] = None

    def __init__(self, path: Path) -> None:
        """Open a schema that `nixwright schema` made. Raises ToolError where the file is none."""
        try:
            self._file = Pieces(path.read_bytes())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no schema made by `nixwright schema`"
            raise ToolError(f"{path} cannot be read: {reason}") from error
        self._pieces: dict[str, Node] = {}
        self._nodes: dict[OptionPath, list[Node]] = {}

    @classmethod
    @lru_cache(maxsize=1)
    def shipped(cls) -> Schema:
        """Return the schema of NixOS 26.05 with disko and nixos-pibox, as it stands in the package."""
        return cls(SHIPPED)

    @classmethod
    def choose(cls, root: Path) -> None:
        """From now on, take the schema that the project in `root` has (`nixos.schema`), else the one that is shipped.

        Raises ToolError where the project's cannot be read.
        """
        own = root / OWN
        cls._chosen = cls.load(own) if own.exists() else None

    @classmethod
    def chosen(cls) -> Schema:
        """Return the schema that settings are checked against: the project's own, or the one that is shipped."""
        return cls._chosen or cls.shipped()

    @classmethod
    def load(cls, path: Path | str) -> Schema:
        """Return the schema in a file. Raises ToolError where it cannot be read."""
        return cls(Path(path))

    @cached_property
    def _tops(self) -> dict[str, list[str] | None]:
        """The first names: None is an option, else the second names below it."""
        tops: dict[str, list[str] | None] = {}
        for name in self._file.index:
            first, slash, second = name.partition("/")
            if not slash:
                tops[first] = None
            else:
                below = tops.setdefault(first, [])
                if below is not None:
                    below.append(second)
        tops.pop(DEFINITIONS, None)
        return tops

    def _piece(self, name: str) -> Node:
        if name not in self._pieces:
            self._pieces[name] = self._file.unpacked(name)
        return self._pieces[name]

    @property
    def read(self) -> list[str]:
        """The names of the pieces that were read so far."""
        return sorted(self._pieces)

    def read_ahead(self, names: Iterable[str]) -> None:
        """Read pieces that will be asked for; names that are none are passed over."""
        for name in names:
            if name in self._file.index:
                self._piece(name)

    def resolve(self, node: Node) -> Node:
        """Return the node that a reference means; any other as it is."""
        while "$ref" in node:
            node = self._piece(DEFINITIONS)[node["$ref"].removeprefix("#/$defs/")]
        return node

    def nodes(self, path: OptionPath) -> list[Node]:
        """Return what stands at a path: more than one where a type has alternatives, none where there is nothing.

        The path's names are attribute names: those of an attrsOf are taken as they come.
        """
        if path not in self._nodes:
            self._nodes[path] = self._find(path)
        return self._nodes[path]

    def _find(self, path: OptionPath) -> list[Node]:
        if not path:
            return [self._set({name: self._top(name) for name in self._tops})]
        if path[0] not in self._tops:
            return []
        seconds = self._tops[path[0]]
        if seconds is None:
            found, rest = [self._piece(path[0])], path[1:]
        elif len(path) == 1:
            found, rest = [self._top(path[0])], ()
        elif path[1] in seconds:
            found, rest = [self._piece(f"{path[0]}/{path[1]}")], path[2:]
        else:
            return []
        for name in rest:
            found = [child for node in found for child in self.children(node, name)]
        return found

    def stands_alone(self, name: str) -> bool:
        """Tell whether a first name is an option by itself; what is below any other is read piece by piece."""
        return self._tops.get(name) is None

    def _top(self, name: str) -> Node:
        seconds = self._tops[name]
        return self._piece(name) if seconds is None else self._set({s: self._piece(f"{name}/{s}") for s in seconds})

    @staticmethod
    def _set(properties: dict[str, Node]) -> Node:
        return {"type": "object", "properties": properties, "additionalProperties": False}

    def children(self, node: Node, name: str) -> list[Node]:
        """Return what an attribute of that name may be in a node; none where it takes no such attribute."""
        node = self.resolve(node)
        if name in node.get("properties", ()):
            child: Node = node["properties"][name]
            extra = node.get("additionalProperties", True)
            return [child if extra is False else self._free(child, OPEN if extra is True else extra)]
        if "anyOf" in node:
            return [child for branch in node["anyOf"] for child in self.children(branch, name)]
        if "x-tags" in node:
            if node["x-tag"] is None:
                return [node["x-tags"][name]] if name in node["x-tags"] else []
            return [child for branch in node["x-tags"].values() for child in self.children(branch, name)]
        kinds = node.get("type", "object")
        if "not" in node or "enum" in node or not (kinds == "object" or "object" in kinds):
            return []
        extra = node.get("additionalProperties", True)
        return [] if extra is False else [OPEN if extra is True else extra]

    def _free(self, child: Node, form: Node) -> Node:
        """Return a group of options as a freeform submodule has it: what the form takes there, it takes too."""
        if "x-option" in child or child.get("additionalProperties") is not False:
            return child
        form = self.resolve(form)
        objects = [b for b in map(self.resolve, form.get("anyOf", [form])) if b.get("type", "object") == "object"]
        below = objects[0].get("additionalProperties", True) if objects else False
        return {**child, "additionalProperties": below}

    def names(self, node: Node) -> set[str]:
        """Return the attribute names that a node knows (it may take others beside them)."""
        node = self.resolve(node)
        found = set(node.get("properties", ()))
        for branch in node.get("anyOf", ()):
            found |= self.names(branch)
        if "x-tags" in node:
            inner = node["x-tags"].values() if node["x-tag"] else ()
            found |= set(node["x-tags"]) if node["x-tag"] is None else {n for b in inner for n in self.names(b)}
        return found

    def siblings(self, parent: OptionPath) -> set[str]:
        """Return the names that are known below a path."""
        if not parent:
            return set(self._tops)
        if len(parent) == 1 and self._tops.get(parent[0]) is not None:
            return set(self._tops[parent[0]] or ())
        return {name for node in self.nodes(parent) for name in self.names(node)}

    def paths(self) -> Iterator[OptionPath]:
        """Yield the path of every option outside of submodules: 100 ms for all of NixOS."""
        pending: list[tuple[OptionPath, Node]] = [((name,), self._top(name)) for name in self._tops]
        while pending:
            path, node = pending.pop()
            if node.get("x-option"):
                if not node.get("deprecated"):
                    yield path
                continue
            pending += [((*path, name), below) for name, below in node["properties"].items()]

    def merges(self, path: OptionPath, *, plain: bool = False) -> bool:
        """Tell whether two modules may define that option with different values (lists, attribute sets, lines, ...).

        Of what stands in a unit's section lists do, and `plain` values (texts, numbers, ...) do not.
        """
        return any(self._merges(node, plain=plain) for node in self.nodes(path))

    def _merges(self, node: Node, *, plain: bool) -> bool:
        node = self.resolve(node)
        if node.get("x-unique"):
            return False
        if node.get("x-merge"):
            return not plain or node.get("x-nix") != _OF_UNIT
        if "anyOf" in node:
            return any(self._merges(branch, plain=plain) for branch in node["anyOf"])
        kinds: str | Sequence[str] = node.get("type", ())
        return bool({kinds} & {"object", "array"} if isinstance(kinds, str) else set(kinds) & {"object", "array"})
