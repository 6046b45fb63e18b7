"""The page: one HTML file that needs nothing else, made of a template, a style, a script and the data of its plans.

The template, the style and the script's modules are files of their own in memplan/report/page.  The page's
Content-Security-Policy names its one style and its one script by their hashes, so nothing else in it can run.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2

from memplan import __version__
from memplan.machine.carried import DESCRIPTION, carried
from memplan.machine.dump import dump_machine
from memplan.memblock.flags import FLAG_NAMES, flag_word
from memplan.render.families import Family
from memplan.render.hotadd_json import hotadd_document
from memplan.render.map_svg import FREE_FILLS
from memplan.render.plan_json import plan_document
from memplan.report.added import KINDS
from memplan.report.content import content
from memplan.report.document import VERSION, css_class, families, film_document, moments, moves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memplan.differences import PlanDiff
    from memplan.hotadd.result import HotaddPlan
    from memplan.report.film import Film
    from memplan.report.lead import Lead

#: The script's modules, each behind those that it imports from.
MODULES = (
    "data.js",
    "text.js",
    "film.js",
    "pieces.js",
    "map.js",
    "details.js",
    "player.js",
    "arrays.js",
    "tables.js",
    "main.js",
)
_FOLDER = "page"
#: Up to so many characters a description or a plan stands in the page as it is; films are always packed.
_PLAIN_UP_TO = 64 << 10
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([\w.]+)";', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


class Shown(NamedTuple):
    """A plan that the page shows: its film, what came after boot, and its label (empty where it is the only one)."""

    film: Film
    label: str
    added: HotaddPlan | None = None


class _Carried(NamedTuple):
    """A document in a script element."""

    id: str
    type: str
    text: str


def page_text(shown: Sequence[Shown], command: str, *, lead: Lead | None = None, diff: PlanDiff | None = None) -> str:
    """The HTML of a report on one plan or two; `command` is what made it.

    `lead` is the answer of a comparison, which stands above the plans' own; `diff` is how two plans differ.
    """
    descriptions = [dump_machine(each.film.machine) for each in shown]
    contents = [
        content(each.film, description, each.label, each.added, f"plan{at}-")
        for at, (each, description) in enumerate(zip(shown, descriptions, strict=True), 1)
    ]
    rows = {} if lead is None else dict(lead.rest)
    for own in contents:
        rows |= own.rest
    scene = {
        "format": "memplan report",
        "version": VERSION,
        "families": families(),
        "flags": [flag_word(bit) for bit in FLAG_NAMES],
        "plans": [film_document(each.film, each.label, each.added) for each in shown],
        "moments": moments([each.film for each in shown], [each.added for each in shown]),
        "moves": moves(diff),
        "rows": rows,
    }
    documents = [_document("film", scene, plain_up_to=0)]
    for at, (each, description) in enumerate(zip(shown, descriptions, strict=True), 1):
        documents.append(_document(f"{DESCRIPTION}{at}", description))
        documents.append(_document(f"plan-{at}", plan_document(each.film.plan)))
        if each.added is not None:
            documents.append(_document(f"hotadd-{at}", hotadd_document(each.added)))
    style, script = style_text(), script_text()
    text: str = _template().render(
        lead=lead,
        plans=contents,
        documents=documents,
        command=command,
        version=__version__,
        style=style,
        script=script,
        policy=_policy(style, script),
    )
    return text


def script_text() -> str:
    """The page's script: its modules one behind the other, each a function that gives what it exports."""
    return '\n"use strict";\nconst modules = {};\n' + "\n".join(map(_module, MODULES))


def _module(name: str) -> str:
    """A module as a function, so that its names are its own."""
    source = _source(name)
    exports = ", ".join(found[2] for found in _EXPORT.finditer(source))
    body = _EXPORT.sub(r"\1", _IMPORT.sub(r'const \1 = modules["\2"];', source))
    return f'modules["{name}"] = (() => {{\n{body}return {{ {exports} }};\n}})();\n'


def style_text() -> str:
    """The page's style, with the colours of the families of owners behind it."""
    colours = "".join(f".{css_class(family)} {{ --own: {family.colour}; }}\n" for family in Family)
    colours += "".join(f".{css_class(kind)} {{ --own: {FREE_FILLS[kind]}; }}\n" for kind in KINDS)
    return f"\n{_source('style.css')}\n{colours}"


def _document(name: str, document: Any, *, plain_up_to: int = _PLAIN_UP_TO) -> _Carried:
    return _Carried(name, *carried(json.dumps(document, separators=(",", ":")), plain_up_to=plain_up_to))


def _policy(style: str, script: str) -> str:
    """What the page may do: its own style and script, known by their hashes, and nothing else at all."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _source(name: str) -> str:
    return (files("memplan.report") / _FOLDER / name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["zip"] = zip
    return environment.get_template("page.html.j2")
