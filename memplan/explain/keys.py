"""What a key of the machine description means, out of the description's own schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from memplan.errors import UsageError
from memplan.machine.schema import machine_schema
from memplan.machine.words import meant

if TYPE_CHECKING:
    from collections.abc import Iterator


def key_lines(path: str) -> Iterator[str]:
    """What the key at the dotted `path` (``srat.memory.hotplug``) holds, and which keys it has.

    UsageError for a key that the description does not have.
    """
    schema = machine_schema()
    forms = [schema]
    walked: list[str] = []
    for name in re.sub(r"\[\d+\]", "", path).split("."):
        keys = {key: value for form in forms for key, value in _keys(form, schema).items()}
        if name not in keys:
            where = f"under {'.'.join(walked)}" if walked else "in a description"
            hint = meant(name, keys) or f"there are {', '.join(sorted(keys)) or 'none'}"
            raise UsageError(f"there is no key {name!r} {where}; {hint}")
        walked.append(name)
        forms = [keys[name]]
    yield ".".join(walked)
    for text in dict.fromkeys(_texts(forms[0], schema)):
        yield f"  {text}"
    below = {key: value for form in forms for key, value in _keys(form, schema).items()}
    if below:
        width = max(map(len, below))
        yield ""
        for key, form in below.items():
            yield f"  {key:{width}}  {next(iter(_texts(form, schema)), '')}".rstrip()


def _followed(form: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The form itself, or the one that it refers to."""
    while "$ref" in form:
        place: Any = schema
        for part in form["$ref"].removeprefix("#/").split("/"):
            place = place[part]
        form = {**place, **{key: value for key, value in form.items() if key != "$ref"}}
    return form


def _forms(form: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The form and the alternatives and elements that it is made of."""
    form = _followed(form, schema)
    yield form
    for group in ("anyOf", "oneOf", "allOf"):
        for part in form.get(group, ()):
            yield from _forms(part, schema)
    if isinstance(form.get("items"), dict):
        yield from _forms(form["items"], schema)


def _keys(form: dict[str, Any], schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {key: value for part in _forms(form, schema) for key, value in part.get("properties", {}).items()}


def _texts(form: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    for part in _forms(form, schema):
        if "description" in part:
            yield part["description"]
        if "enum" in part:
            yield f"one of {', '.join(map(str, part['enum']))}"
        if "default" in part:
            yield f"default: {part['default']}"
