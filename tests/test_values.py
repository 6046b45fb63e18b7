"""What memory is for, what a boot does and what a version's rules say are values; nobody tells them by their text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import memplan
from memplan.boot.registry import registered
from memplan.kernel.resolve import all_rules
from memplan.owner import Purpose

PACKAGE = Path(memplan.__file__).parent
STEPS = frozenset(registered())
#: The words with which the texts of owners begin, up to the node or the detail.
OWNERS = frozenset(purpose.label.partition("{")[0].strip(" (,") for purpose in Purpose) - {""}
#: Names of rules that are no words of anything else.
RULES = frozenset(name for name in all_rules().rules if "_" in name or "." in name)

#: Where values of rules may be told apart: in what replays a kernel's doings, and where rules are read.
ASK_RULES = ("boot", "hotadd", "kaslr", "kernel", "memblock", "wording")
#: Words that are something else: (module, what is compared) -> what it is.
OTHER_WORDS: Mapping[tuple[str, str], str] = {
    ("causes", "kind"): "kinds of facts that logs tell",
    ("verification", "kind"): "kinds of facts that logs tell",
    ("firmware.dmesg_cpus", "caller"): "the function that a log's line names",
    ("firmware.dmesg_efi", "caller"): "the function that a log's line names",
    ("firmware.dmesg_facts", "caller"): "the function that a log's line names",
    ("firmware.dmesg_image", "caller"): "the function that a log's line names",
    ("machine.kinds", "head"): "what the kernel's lines begin with",
    ("render.overview", "source"): "where page tables were taken from",
}


class Comparison(NamedTuple):
    """That a text is compared with something; `with_what` is that thing's last name."""

    module: str
    line: int
    text: str
    with_what: str
    rules: bool


def texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from texts(element)


def last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    return last_name(node.func) if isinstance(node, ast.Call) else ""


def comparisons(source: str, module: str) -> Iterator[Comparison]:
    """The comparisons with texts in `source`: by operators, by how a text begins or ends, and by match."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            others = [side for side in sides if not list(texts(side))]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("startswith", "endswith", "removeprefix", "removesuffix")
        ):
            sides, others = node.args, [node.func.value]
        elif isinstance(node, ast.Match):
            sides = [each.value for case in node.cases for each in ast.walk(case) if isinstance(each, ast.MatchValue)]
            others = [node.subject]
        else:
            continue
        name = last_name(others[0]) if others else ""
        rules = any(isinstance(part, ast.Attribute) and part.attr == "rules" for o in others for part in ast.walk(o))
        for text in (text for side in sides for text in texts(side)):
            yield Comparison(module, node.lineno, text, name, rules)


def all_comparisons() -> Iterator[Comparison]:
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield from comparisons(path.read_text(), module)


def wrong(one: Comparison) -> str:
    """What is wrong with a comparison, "" for nothing."""
    if (one.module, one.with_what) in OTHER_WORDS:
        return ""
    if one.text in STEPS and not one.module.startswith("boot.steps."):
        return "a step is told by its name; ask for the function in memplan.boot.steps"
    if one.text in OWNERS:
        return "an owner is told by its text; ask for its Purpose"
    if one.text in RULES and not one.module.startswith("kernel."):
        return "a rule is told by its name; ask memplan.kernel"
    if one.rules and one.module.partition(".")[0] not in ASK_RULES:
        return "a rule's value is told by its text; give Rules a property that says what follows from it"
    return ""


def test_no_step_owner_or_rule_is_told_by_its_text() -> None:
    found = [f"{one.module}:{one.line}: {one.text!r}: {told}" for one in all_comparisons() if (told := wrong(one))]
    assert not found, "\n".join(found)


def test_words_that_are_something_else_are_compared_somewhere() -> None:
    compared = {(one.module, one.with_what) for one in all_comparisons() if one.text in STEPS | OWNERS | RULES}
    assert not set(OTHER_WORDS) - compared


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("step.name == 'initmem_init'", "a step"),
        ("if 'kvmclock_init' not in kernel.rules.steps: pass", "a step"),
        ("owner.startswith('NODE_DATA')", "an owner"),
        ("str(own.owner) in ('crash kernel', 'initrd')", "an owner"),
        ("name == 'memblock.allocations'", "a rule"),
        ("kernel.rules.cfmws == 'nothing'", "a rule's value"),
        ("match step.name:\n  case 'sparse_init': pass", "a step"),
        ("kind is Purpose.INITRD", ""),
        ("name == 'tables'", ""),
    ],
)
def test_what_is_told_by_its_text_is_found(source: str, told: str) -> None:
    found = [wrong(one) for one in comparisons(source, "checks.hotplug")]
    assert {text.partition(" is ")[0] for text in found} == ({told} if found else set())
