"""The base of every record that a user can write in YAML.

Torch-free, so that recordings and hardware may import it.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from typing_extensions import override

__all__ = ["Spec"]


class Spec(BaseModel):
    """A frozen, typed record that refuses unknown keys.

    A field that carries a unit ends in it (``noise_v``) and is spelt without it in YAML
    (``noise: 5 uV``), by its alias; both spellings work in Python.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        populate_by_name=True,
        serialize_by_alias=True,
    )

    @classmethod
    @override
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe each key by the text below its field.

        pydantic would read all sources at import, which takes a third of the time to start.
        """
        schema = handler(core_schema)
        found = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in _texts_below_fields(cls).items():
            field = cls.model_fields.get(name)
            key = field and (field.alias or name)
            if key in found and "description" not in found[key]:
                found[key]["description"] = text
        return schema


@cache
def _texts_below_fields(cls: type) -> dict[str, str]:
    """The string that follows a field in its class, of this class and those it is made from."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not issubclass(base, Spec):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except OSError:  # made where no file is
            continue
        for field, below in itertools.pairwise(getattr(body, "body", [])):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = inspect.cleandoc(text)
    return found
