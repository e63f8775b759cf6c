"""Bounds of a record's numbers, to stand in `Annotated`: `port: Annotated[int, Ge(1), Le(65535)]`.

They are those of `annotated_types`, whose import would take longer than checking a whole host's numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class Ge:
    """At least `bound`."""

    keyword = "ge"  # pydantic's own, in a schema

    def __init__(self, bound: int) -> None:
        """Hold the bound."""
        self.bound = bound

    def holds(self, value: int) -> bool:
        """Tell whether a number keeps the bound."""
        return value >= self.bound

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Say the same to pydantic."""
        schema: Any = handler(source)
        schema[self.keyword] = self.bound
        return schema  # type: ignore[no-any-return]


class Le(Ge):
    """At most `bound`."""

    keyword = "le"

    def holds(self, value: int) -> bool:
        """Tell whether a number keeps the bound."""
        return value <= self.bound
