"""Kinds of values in a description: how each is read, what its JSON Schema is, and how it is written.

A `Kind` is what a value may be; a `Section` is a mapping of fields that makes one object of the model.  Which there
are follows from the model (`memplan.machine.schema`).  Values reach the validator as the document has them: mappings,
lists, text and None (see `memplan.machine.document`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticCustomError
from pydantic_core import core_schema as cs

from memplan.klog.entries import LineError
from memplan.machine.document import Quoted
from memplan.machine.fields import Count, FrozenMap, Text
from memplan.units import U64_MAX, size_text

#: Errors of fields carry this type; their message says what was expected.
WRONG = "wrong"
#: Errors that say everything themselves; `at` of their context names the field to blame, `hint` the mend.
PROBLEM = "problem"

_NUMBER = r"0[xX][0-9a-fA-F]{1,20}|0|[1-9][0-9]{0,23}"
_SIZE = rf"({_NUMBER})([kKmMgGtTpPeE]?)"
_NUMBER_FORM = re.compile(_NUMBER)
_SIZE_FORM = re.compile(_SIZE)
#: So many numbers of a kind are read once; a matrix has few different ones.
_NUMBERS_KEPT = 256
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Kind:
    """What a value may be.

    `core` and `json` make its schemas when they are asked for, `expected` is what an error says.  A single value is
    written by `write` and may have `words`; a list names the kind of its items as `item`, a mapping its `section`; a
    value that may also stand as a line of a log is read by `line`.
    """

    __slots__ = ("core", "expected", "item", "json", "line", "section", "words", "write")

    def __init__(
        self,
        core: Callable[[], cs.CoreSchema],
        json: Callable[[], dict[str, Any]],
        expected: str,
        write: Callable[[Any], str] | None = None,
        *,
        item: Kind | None = None,
        section: Section | None = None,
        words: tuple[str, ...] = (),
        line: Callable[[str], Any] | None = None,
    ) -> None:
        self.core = core
        self.json = json
        self.expected = expected
        self.write = write
        self.item = item
        self.section = section
        self.words = words
        self.line = line


class Field:
    """One key of a section.

    `get` takes its value out of the section's object; a field without it is another way to say what others say.
    `always` writes it beside its fellows even where it has its default.
    """

    __slots__ = ("always", "doc", "get", "kind", "name")

    def __init__(
        self, name: str, kind: Kind, doc: str, get: Callable[[Any], Any] | None, *, always: bool = False
    ) -> None:
        self.name = name
        self.kind = kind
        self.doc = doc
        self.get = get
        self.always = always


class Section:
    """A mapping with these fields, from which `build` makes an object of the class `cls`.

    `required` must be given.  Of each group in `alternatives` exactly one must be; `hidden` are those of them that no
    message offers.
    """

    __slots__ = ("alternatives", "build", "by_name", "defaults", "doc", "fields", "hidden", "required")

    def __init__(
        self,
        cls: Any,
        fields: tuple[Field, ...],
        build: Callable[[dict[str, Any]], Any],
        *,
        alternatives: tuple[tuple[str, ...], ...] = (),
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self.doc: str = cls.__doc__
        self.fields = fields
        self.by_name = {field.name: field for field in fields}
        self.defaults: dict[str, Any] = cls._field_defaults
        given = {name for group in alternatives for name in group}
        self.required = tuple(f.name for f in fields if f.name not in self.defaults and f.name not in given)
        self.build = build
        self.alternatives = alternatives
        self.hidden = hidden

    def names(self) -> list[str]:
        """The keys to offer, in order."""
        return [field.name for field in self.fields if field.name not in self.hidden]

    def core(self) -> cs.CoreSchema:
        """The validator's schema."""
        build, required = self.build, self.required

        def make(values: dict[str, Any]) -> Any:
            return build({name: value for name, value in values.items() if value is not None})

        fields = {
            field.name: cs.typed_dict_field(field.kind.core(), required=True)
            if field.name in required
            else cs.typed_dict_field(cs.nullable_schema(field.kind.core()), required=False)
            for field in self.fields
        }
        return cs.no_info_after_validator_function(make, cs.typed_dict_schema(fields, extra_behavior="forbid"))

    def json(self) -> dict[str, Any]:
        """The JSON Schema."""
        properties: dict[str, Any] = {}
        for field in self.fields:
            properties[field.name] = {"description": field.doc, **field.kind.json()}
            default = self.defaults.get(field.name)
            if isinstance(default, bool | int | str) and default != "":
                properties[field.name]["default"] = default
        either = [{"oneOf": [{"required": [name]} for name in group]} for group in self.alternatives]
        return {
            "type": "object",
            "description": self.doc,
            "properties": properties,
            "required": list(self.required),
            **({"allOf": either} if either else {}),
            "additionalProperties": False,
        }


def problem(message: str, *, at: str = "", hint: str = "") -> PydanticCustomError:
    """The error of a value whose parts don't go together; `at` is the key to blame."""
    return PydanticCustomError(PROBLEM, "{message}", {"message": message, "at": at, "hint": hint})


def quoted(text: str) -> str:
    """`text` as a double-quoted YAML scalar of printable ASCII and other printable letters, whatever it holds."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char.isprintable() and char != "\ufeff":
            out.append(char)
        else:
            code = ord(char)
            out.append(f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(out) + '"'


# -- single values -----------------------------------------------------------------------------------------------------


def leaf(
    read: Callable[[str], Any],
    json: dict[str, Any],
    expected: str,
    write: Callable[[Any], str] = str,
    words: tuple[str, ...] = (),
) -> Kind:
    """A single value; `read` raises ValueError for text that is none."""

    def checked(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError
        return read(value)

    core = reading(checked, expected)
    return Kind(lambda: core, lambda: json, expected, write, words=words)


def reading(read: Callable[[Any], Any], expected: str) -> cs.CoreSchema:
    """The schema of what `read` makes of a value; where that is a ValueError, the error says what was expected.

    A custom_error_schema would say so of an interrupt, too, that comes while `read` is at work.
    """

    def told(value: Any) -> Any:
        try:
            return read(value)
        except ValueError:
            raise PydanticCustomError(WRONG, "{expected}", {"expected": expected}) from None

    return cs.no_info_plain_validator_function(told)


def read_number(text: str) -> int:
    """A number, decimal or 0x hexadecimal; ValueError for anything else (a leading 0 would mean octal to some)."""
    if not _NUMBER_FORM.fullmatch(text):
        raise ValueError
    return int(text, 16) if text[:2] in ("0x", "0X") else int(text)


def _read_size(text: str) -> int:
    found = _SIZE_FORM.fullmatch(text)
    if found is None:
        raise ValueError
    size = read_number(found[1]) << _SHIFTS[found[2].lower()]
    if size > U64_MAX:
        raise ValueError
    return size


def _read_switch(text: str) -> bool:
    value = _SWITCH.get(text.lower())
    if value is None or isinstance(text, Quoted):
        raise ValueError
    return value


def _read_fact(text: str) -> int | str | bool:
    if isinstance(text, Quoted):
        return str(text)
    try:
        return _read_switch(text) if text.lower() in _SWITCH else read_number(text)
    except ValueError:
        return text


def write_fact(value: int | str | bool) -> str:
    """A fact of a kernel as it is written: text in quotes, numbers and switches without."""
    return quoted(value) if isinstance(value, str) else str(value).lower()


def count(span: Count) -> Kind:
    """A whole number of `span`."""
    least, most = span

    @lru_cache(_NUMBERS_KEPT)
    def read(text: str) -> int:
        number = read_number(text)
        if not least <= number <= most:
            raise ValueError
        return number

    top = f"{most:#x}" if most > 1 << 20 else str(most)
    json = {"type": "integer", "minimum": least, "maximum": most}
    return leaf(read, json, f"a whole number from {least} to {top}")


def choice(*words: str) -> Kind:
    """One of these words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return str(text)

    return leaf(read, {"enum": list(words)}, "one of " + ", ".join(words), words=words)


def text(form: Text) -> Kind:
    """Text of that form."""
    most, pattern, expected = form

    def read(value: str) -> str:
        value = str(value).rstrip("\n")
        if len(value) > most or (pattern and not re.fullmatch(pattern, value)):
            raise ValueError
        return value

    json: dict[str, Any] = {"type": "string", "maxLength": most}
    if pattern:
        json["pattern"] = f"^(?:{pattern})$"
    return leaf(read, json, expected or f"text of at most {most} characters", quoted)


_SIZE_JSON = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": U64_MAX},
        {"type": "string", "pattern": f"^(?:{_SIZE})$"},
    ]
}
SIZE = leaf(_read_size, _SIZE_JSON, "a size of at most 64 bits such as 0x40000000, 4096, 512M or 2G", size_text)
ADDRESS = leaf(_read_size, _SIZE_JSON, "an address of at most 64 bits such as 0x100000, 1M or 4G", hex)
SWITCH = leaf(_read_switch, {"type": "boolean"}, "true or false", write_fact)
FACT = leaf(
    _read_fact,
    {"type": ["integer", "string", "boolean"]},
    "a number, text, true or false",
    write_fact,
)


# -- what is made of several values ------------------------------------------------------------------------------------


def of(section: Section) -> Kind:
    """A mapping of the section's fields."""
    return Kind(section.core, section.json, "a mapping of " + ", ".join(section.names()), section=section)


def list_of(item: Kind, *, rows: bool = False) -> Kind:
    """A list of `item`; with `rows`, a block of text is a list of its rows as well, empty ones aside."""

    def core() -> cs.CoreSchema:
        made: cs.CoreSchema = cs.list_schema(item.core())
        if rows:
            made = cs.no_info_before_validator_function(_rows, made)
        return cs.no_info_after_validator_function(_tuple, made)

    def json() -> dict[str, Any]:
        own: dict[str, Any] = {"type": "array", "items": item.json()}
        return {"anyOf": [own, {"type": "string"}]} if rows else own

    return Kind(core, json, "a list", item=item)


def or_line(
    kind: Kind, read: Callable[[str], Any], pattern: str, expected: str, write: Callable[[Any], str] | None = None
) -> Kind:
    """`kind`, or a line of a boot log that `read` understands (None: it is no such line) and that has `pattern`."""

    def wrapped(value: Any, handler: cs.ValidatorFunctionWrapHandler) -> Any:
        value = joined(value)
        if not isinstance(value, str):
            return handler(value)
        if not value.strip():
            return None
        return read_line(value, read, expected)

    return Kind(
        lambda: cs.no_info_wrap_validator_function(wrapped, kind.core()),
        lambda: {"anyOf": [kind.json(), {"type": "string", "pattern": pattern}]},
        f"{kind.expected}, or {expected}",
        write,
        section=kind.section,
        line=read,
    )


def facts() -> Kind:
    """A mapping of facts' names to their values."""

    def write(own: Any) -> str:
        return "{" + ", ".join(f"{quoted(name)}: {write_fact(value)}" for name, value in own.items()) + "}"

    return Kind(
        lambda: cs.no_info_after_validator_function(
            FrozenMap, cs.dict_schema(cs.str_schema(min_length=1, max_length=200), FACT.core())
        ),
        lambda: {"type": "object", "additionalProperties": FACT.json()},
        "a mapping of facts to values",
        write,
        item=FACT,
    )


def joined(value: Any) -> Any:
    """The line that YAML took for a mapping because of its colon (``SRAT: PXM 0 -> …``); else `value` as it is."""
    if isinstance(value, dict) and len(value) == 1:
        (head, tail), *_ = value.items()
        if isinstance(tail, str) and head in ("BIOS-e820", "SRAT", "ACPI"):
            return f"{head}: {tail}"
    return value


def read_line(value: str, read: Callable[[str], Any], expected: str) -> Any:
    """What `read` makes of the line; an error that names what was expected where it makes nothing of it."""
    try:
        entry = read(value)
    except LineError as error:
        raise problem(str(error), hint=error.hint) from None
    if entry is None:
        raise problem(f"found {value.strip()[:80]!r}, expected {expected}")
    return entry


def _rows(value: Any) -> Any:
    return value.split("\n") if isinstance(value, Quoted) else value


def _tuple(values: list[Any]) -> tuple[Any, ...]:
    return tuple([value for value in values if value is not None])
