"""The forms of JSON documents, each said once: what writes a value and what its JSON Schema says are one.

A `Form` turns a value of memplan's into what JSON has, and carries the schema (draft 2020-12) of that.  Records are
made of members, each with its name, its form, and what of the record's value it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar, get_args

T = TypeVar("T")
V = TypeVar("V")

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


class Form(Generic[T]):
    """What a value of the type T looks like in JSON: `write` makes it, `schema` describes it.

    `definitions` are the schemas of the parts that it refers to by their names.
    """

    __slots__ = ("definitions", "schema", "write")

    def __init__(
        self, schema: Mapping[str, Any], write: Callable[[T], Any], definitions: Mapping[str, Any] | None = None
    ) -> None:
        self.schema = dict(schema)
        self.write = write
        self.definitions = dict(definitions or {})

    def told(self, description: str) -> Form[T]:
        """The same form with a description."""
        return self.bound(description=description)

    def bound(self, **keywords: Any) -> Form[T]:
        """The same form with further keywords in its schema."""
        return Form({**self.schema, **keywords}, self.write, self.definitions)


class Member(Generic[T]):
    """A member of a record of the type T: `get` takes what it shows out of that; an `optional` one may show nothing."""

    __slots__ = ("form", "get", "name", "optional")

    def __init__(self, name: str, form: Form[V], get: Callable[[T], V], *, optional: bool = False) -> None:
        self.name = name
        self.form: Form[Any] = form
        self.get: Callable[[T], Any] = get
        self.optional = optional


#: What the `get` of an optional member gives where there is nothing to show.
ABSENT: Any = object()


def keyed(name: str, form: Form[V], *, optional: bool = False) -> Member[Mapping[str, Any]]:
    """The member of that name of a mapping, by the same name."""
    if not optional:
        return Member(name, form, lambda own: own[name])
    return Member(name, form, lambda own: own.get(name, ABSENT), optional=True)


def _same(value: Any) -> Any:
    return value


def number(description: str = "", *, least: int | None = None) -> Form[int]:
    """A whole number."""
    bound = {} if least is None else {"minimum": least}
    return Form({"type": "integer", **bound, **_described(description)}, _same)


def text(description: str = "", *, pattern: str = "") -> Form[object]:
    """Text, as str() makes it of a value, which matches the `pattern` where one is given."""
    return Form({"type": "string", **({"pattern": pattern} if pattern else {}), **_described(description)}, str)


def flag(description: str = "") -> Form[bool]:
    """True or false."""
    return Form({"type": "boolean", **_described(description)}, _same)


def one_of(*values: Any, description: str = "") -> Form[Any]:
    """One of these values."""
    return Form({"enum": list(values), **_described(description)}, _same)


def literal(kind: Any, description: str = "") -> Form[Any]:
    """One of the values of a Literal type."""
    return one_of(*get_args(kind), description=description)


def constant(value: Any, description: str = "") -> Form[Any]:
    """Always `value`, whatever it is given."""
    return Form({"const": value, **_described(description)}, lambda _: value)


def maybe(form: Form[T]) -> Form[T | None]:
    """What `form` says, or null."""

    def write(value: T | None) -> Any:
        return None if value is None else form.write(value)

    kind, values = form.schema.get("type"), form.schema.get("enum")
    if isinstance(kind, str):
        return Form({**form.schema, "type": [kind, "null"]}, write, form.definitions)
    if values is not None:
        return Form({**form.schema, "enum": [*values, None]}, write, form.definitions)
    return Form({"anyOf": [form.schema, {"type": "null"}]}, write, form.definitions)


def listed(form: Form[T], description: str = "") -> Form[Iterable[T]]:
    """A list of what `form` says."""
    plain = form.write is _same
    element = form.write

    def write(values: Iterable[T]) -> list[Any]:
        return list(values) if plain else [element(value) for value in values]

    return Form({"type": "array", **_described(description), "items": form.schema}, write, form.definitions)


def pair(form: Form[T], description: str = "") -> Form[Sequence[T]]:
    """Two of what `form` says."""
    both = listed(form, description)
    return Form({**both.schema, "minItems": 2, "maxItems": 2}, both.write, both.definitions)


def record(description: str, *members: Member[T]) -> Form[T]:
    """An object with these members, in their order: all of them, or all but optional ones that show nothing."""
    rows = [(member.name, member.get, member.form.write) for member in members]
    plain = [(name, get, None if written is _same else written) for name, get, written in rows]

    def write(value: T) -> dict[str, Any]:
        return {name: get(value) if written is None else written(get(value)) for name, get, written in plain}

    def write_present(value: T) -> dict[str, Any]:
        shown = ((name, get(value), written) for name, get, written in rows)
        return {name: written(own) for name, own, written in shown if own is not ABSENT}

    schema = {
        "type": "object",
        **_described(description),
        "required": [member.name for member in members if not member.optional],
        "properties": {member.name: member.form.schema for member in members},
    }
    definitions = {name: one for member in members for name, one in member.form.definitions.items()}
    return Form(schema, write_present if any(member.optional for member in members) else write, definitions)


def mapping(form: Form[T], description: str = "") -> Form[Iterable[tuple[str, T]]]:
    """An object whose members have names of their own."""
    schema = {"type": "object", "additionalProperties": form.schema, **_described(description)}
    return Form(schema, lambda items: {name: form.write(value) for name, value in items}, form.definitions)


def part(name: str, form: Form[T]) -> Form[T]:
    """`form` as a part of its own, to which the schema refers by that name."""
    return Form({"$ref": f"#/$defs/{name}"}, form.write, {**form.definitions, name: form.schema})


def inside(get: Callable[[T], V], *members: Member[V]) -> tuple[Member[T], ...]:
    """The `members` of what `get` takes out of a record's value, as members of the record itself."""
    return tuple(Member(own.name, own.form, _chained(get, own.get)) for own in members)


def _chained(first: Callable[[T], V], then: Callable[[V], Any]) -> Callable[[T], Any]:
    return lambda value: then(first(value))


def reference(name: str, write: Callable[[T], Any]) -> Form[T]:
    """The part of that name, within itself, where its form isn't there yet."""
    return Form({"$ref": f"#/$defs/{name}"}, write)


class Document(Generic[T]):
    """A whole document: an object with `members`, called `title`; `parts` are those that only references name."""

    def __init__(self, title: str, description: str, *members: Member[T], **parts: Form[Any]) -> None:
        self._title = title
        self._form: Form[T] = record(description, *members)
        self._parts = parts

    def written(self, value: T) -> dict[str, Any]:
        """The object that shows `value`: dicts, lists, strings, numbers."""
        document: dict[str, Any] = self._form.write(value)
        return document

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        definitions = {**self._form.definitions, **{name: own.schema for name, own in self._parts.items()}}
        defs = {"$defs": definitions} if definitions else {}
        return {"$schema": _DRAFT, "title": self._title, **defs, **self._form.schema}


def alternatives(title: str, description: str, *forms: Form[Any]) -> dict[str, Any]:
    """The JSON Schema of a document, called `title`, that has one of these forms."""
    definitions = {name: one for form in forms for name, one in form.definitions.items()}
    head = {"$schema": _DRAFT, "title": title, "description": description, "$defs": definitions}
    return {**head, "anyOf": [form.schema for form in forms]}


def versioned(name: str, version: int, description: str, *members: Member[T], **parts: Form[Any]) -> Document[T]:
    """A document that begins by saying what it is, and which version of its form it has."""
    return Document(name, description, *heading(name, version), *members, **parts)


def heading(name: str, version: int) -> tuple[Member[Any], Member[Any]]:
    """The members that say what document this is, and which version of its form it has."""
    raised = "raised when a member changes its meaning or goes"
    return (
        Member("format", constant(name), _same),
        Member("version", constant(version, raised), _same),
    )


def _described(description: str) -> dict[str, str]:
    return {"description": description} if description else {}
