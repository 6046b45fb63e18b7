"""Which mutants there are: cosmic-ray proposes them, and those that no test could tell from the original are left out.

Left out are changes

* in annotations and below ``if TYPE_CHECKING``, which don't run;
* of ``frozen=``, ``slots=``, ``kw_only=`` and ``strict=``, which only guard against mistakes in other code, and of
  decorators for caches and types, which change how fast an answer comes and not what it is;
* of the star in a signature, behind which arguments have to be named;
* of equality into identity and back, which differ by what the interpreter keeps once;
* of a comparison with a name in quotes into one of order, as names have none;
* that don't compile, or that leave the same program.
"""

from __future__ import annotations

import ast
import random
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_GUARDS = {"frozen", "slots", "kw_only", "strict"}
_QUIET_DECORATORS = re.compile(r"@(functools\.)?(cache|lru_cache\(.*\)|final|override|overload|runtime_checkable)$")
_IDENTITY = re.compile(r"ReplaceComparisonOperator_(Eq_Is|NotEq_IsNot|Is_Eq|IsNot_NotEq)$")
_ORDER = re.compile(r"ReplaceComparisonOperator_\w+_(Lt|LtE|Gt|GtE)$")

#: The many operators of a family change nodes of few types, and need not look at any other.
_NODES = {
    "ReplaceBinaryOperator": {"operator"},
    "ReplaceComparisonOperator": {"comparison"},
    "ReplaceUnaryOperator": {"factor", "not_test"},
}

Position = tuple[int, int]


class Mutant(NamedTuple):
    """One change of one module: by which operator, and between which (line, column) positions of its text."""

    module: str
    operator: str
    occurrence: int
    start: Position
    end: Position

    def text(self) -> str:
        """The module's whole text with the change."""
        return _changed(self)

    def lines(self) -> tuple[str, str]:
        """What the change takes away and what it puts in its place, without indentation."""
        before, after = Path(self.module).read_text().splitlines(), self.text().splitlines()
        first = next(index for index, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
        rest = 0
        while before[-1 - rest] == after[-1 - rest] and first + rest < min(len(before), len(after)) - 1:
            rest += 1
        cut = (lines[first : len(lines) - rest] for lines in (before, after))
        removed, added = (" ".join(" ".join(lines).split()) for lines in cut)
        return removed, added

    def function(self) -> str:
        """The function or class in which the change is, the innermost; "" in none."""
        inner = ""
        for node in ast.walk(ast.parse(Path(self.module).read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and _inside(self.start, [_span(node)]):
                inner = node.name
        return inner

    def changes_program(self) -> bool:
        """Whether the change gives a program, and another one than the original."""
        try:
            return ast.dump(ast.parse(self.text())) != ast.dump(ast.parse(Path(self.module).read_text()))
        except (SyntaxError, AttributeError):
            # The latter is cosmic-ray's, at an exception whose name has a dot.
            return False


def draw(paths: Iterable[str], sample: int, seed: int) -> list[Mutant]:
    """Up to `sample` mutants of the modules at `paths`: one a place, so that places with many don't weigh more."""
    chance = random.Random(seed)
    places: dict[tuple[str, Position], list[Mutant]] = {}
    for path in paths:
        for module in sorted(Path(path).rglob("*.py") if Path(path).is_dir() else [Path(path)]):
            for mutant in _proposals(str(module)):
                places.setdefault((mutant.module, mutant.start), []).append(mutant)
    order = sorted(places)
    chance.shuffle(order)
    drawn: list[Mutant] = []
    for place in order:
        candidates = sorted(places[place])
        chance.shuffle(candidates)
        drawn += [mutant for mutant in candidates if mutant.changes_program()][:1]
        if len(drawn) == sample:
            break
    return drawn


@cache
def _changed(mutant: Mutant) -> str:
    changed = mutate_code(Path(mutant.module).read_text(), _operators()[mutant.operator], mutant.occurrence)
    assert isinstance(changed, str), mutant
    return changed


@cache
def _operators() -> dict[str, Any]:
    found = {name: get_operator(name) for name in operator_names()}
    return {name: operator() for name, operator in found.items() if not operator.arguments()}


def _proposals(module: str) -> Iterator[Mutant]:
    """All mutants of a module but those that no test could find."""
    text = Path(module).read_text()
    nodes = list(ast_nodes(get_ast(text)))
    of_family = {family: [node for node in nodes if node.type in types] for family, types in _NODES.items()}
    tree = ast.parse(text)
    quiet = [_span(node) for node in _quiet(tree)]
    names = [_span(node) for node in ast.walk(tree) if isinstance(node, ast.Compare) and _compares_names(node)]
    lines = text.splitlines()
    for name, operator in _operators().items():
        suitable = next((found for family, found in of_family.items() if family in name), nodes)
        positions = (place for node in suitable for place in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(positions):
            if _IDENTITY.search(name) or _inside(start, quiet):
                continue
            if _ORDER.search(name) and _inside(start, names):
                continue
            if lines[start[0] - 1][start[1] : start[1] + 2] == "*,":
                continue
            if "RemoveDecorator" in name and _QUIET_DECORATORS.match(lines[start[0] - 1].strip()):
                continue
            yield Mutant(module, name, occurrence, start, end)


def _quiet(tree: ast.Module) -> Iterator[ast.expr | ast.stmt | ast.keyword]:
    """The parts of a module that don't run, or run for nothing that shows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            yield node.returns
        elif isinstance(node, ast.keyword):
            if node.arg in _GUARDS:
                yield node
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield node


def _compares_names(node: ast.Compare) -> bool:
    sides = (node.left, *node.comparators)
    return any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides)


def _span(node: ast.expr | ast.stmt | ast.keyword) -> tuple[Position, Position]:
    """The node's extent; its columns count bytes and those of mutants characters, which are the same in this code."""
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _inside(position: Position, spans: Iterable[tuple[Position, Position]]) -> bool:
    return any(start <= position < end for start, end in spans)
