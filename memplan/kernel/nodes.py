"""Reads the YAML files of the timeline and of distributions node by node, so that an error names file and line."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from memplan.errors import InputError
from memplan.kernel.version import Release

#: What a rule has in one version.
Value = bool | int | str | Mapping[str, str]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def wrong(path: str, node: yaml.Node, field: str, message: str) -> InputError:
    """The error of `message` about `field`, at the node's place."""
    mark = node.start_mark
    return InputError.single(path, message, line=mark.line + 1, column=mark.column + 1, field=field)


def compose(path: str) -> yaml.Node:
    """The root of the file at `path`; InputError for what is no YAML, or empty."""
    with open(path, "rb") as file:
        text = file.read()
    try:
        node: yaml.Node | None = yaml.compose(text, _LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = f"is no YAML: {getattr(error, 'problem', error)}"
        raise InputError.single(path, message, line=line, column=column) from None
    if node is None:
        raise InputError.single(path, "is empty")
    return node


def pairs_of(path: str, node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    """The mapping's keys and the nodes of their values, each key once."""
    if not isinstance(node, yaml.MappingNode):
        raise wrong(path, node, "", "should be a mapping")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if str(key.value) in found:
            raise wrong(path, key, str(key.value), "stands here twice")
        found[str(key.value)] = value
    return list(found.items())


def fields_of(path: str, node: yaml.Node, allowed: set[str] | None) -> dict[str, yaml.Node]:
    """The nodes of a mapping's values by key; keys must be `allowed` (None: any)."""
    found = dict(pairs_of(path, node))
    for key in found:
        if allowed is not None and key not in allowed:
            raise wrong(path, found[key], key, f"is no field here; fields are {', '.join(sorted(allowed))}")
    return found


def items_of(path: str, node: yaml.Node, field: str) -> list[yaml.Node]:
    """The nodes of a list that isn't empty."""
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise wrong(path, node, field, "should be a list")
    return list(node.value)


def text_of(path: str, node: yaml.Node | None, field: str) -> str:
    """The text of a scalar as it stands there; "" where there is no node."""
    if node is None:
        return ""
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise wrong(path, node, field, "should be a text")
    return str(node.value)


def release_of(path: str, node: yaml.Node, field: str) -> Release:
    """The release that a scalar names."""
    text = text_of(path, node, field)
    try:
        return Release.parse(text)
    except ValueError:
        raise wrong(path, node, field, f'should be a release like "5.15", found {text!r}') from None


def numbers_of(path: str, node: yaml.Node, field: str) -> tuple[int, int]:
    """A number N as (N, N), or a range A..B as (A, B)."""
    first, _, last = text_of(path, node, field).partition("..")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise wrong(path, node, field, "should be a number, or a range like 8..89")
    return int(first), int(last or first)


def value_of(path: str, node: yaml.Node) -> Value:
    """A scalar, or a mapping of texts."""
    if isinstance(node, yaml.MappingNode):
        return {key: text_of(path, value, key) for key, value in pairs_of(path, node)}
    if not isinstance(node, yaml.ScalarNode):
        raise wrong(path, node, "value", "should be one value, or a mapping")
    kind = node.tag.rpartition(":")[2]
    raw = str(node.value)
    if kind == "bool":
        return raw == "true"
    return int(raw, 0) if kind == "int" else raw
