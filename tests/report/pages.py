"""Pages of the example machines, made as the command makes them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import memplan
from memplan.cli.group import group
from memplan.kernel.load import kernel_of
from memplan.machine.model import Machine
from memplan.report.film import Film, film
from tests.reports.logs import report

pytest.importorskip("jinja2", reason="pages are made with jinja2: pip install 'memplan[report]'")
from memplan.report.page import MODULES, Shown, page_text, script_text

__all__ = [
    "EXAMPLES",
    "HOSTILE",
    "MODULES",
    "document",
    "example",
    "filmed",
    "log_in",
    "made",
    "page",
    "path_of",
    "script_text",
]

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "examples").glob("*.yaml"))
HOSTILE = "</script><script>alert(1)</script><!--"


def filmed(machine: Machine) -> Film:
    """The film of `machine` booting its own kernel."""
    return film(machine, kernel_of(machine.kernel))


@cache
def example(name: str) -> Film:
    """The film of an example, by its file's name without ending."""
    return filmed(memplan.load_machine(path_of(name)))


def page(shown: Film) -> str:
    """The page of one film."""
    return page_text([Shown(shown, "")], "memplan report machine.yaml -o page.html")


def made(folder: Path, *words: str) -> str:
    """The page that ``memplan report`` with these arguments makes in `folder`."""
    path = folder / "made.html"
    result = CliRunner().invoke(group, ["report", *words, "-o", str(path)], standalone_mode=False)
    assert result.exception is None, result.exception
    return path.read_text(encoding="utf-8")


def path_of(name: str) -> str:
    """The file of an example."""
    return str(next(path for path in EXAMPLES if path.stem == name))


def log_in(folder: Path, name: str) -> str:
    """The file, made in `folder`, of a boot log that somebody published."""
    path = folder / f"{name}.log"
    path.write_text(report(name), encoding="utf-8")
    return str(path)


def document(text: str, name: str) -> Any:
    """The document of that name in a page, read in the simplest way there is."""
    found = re.search(rf'<script type="([^"]+)" id="{name}">([^<]*)</script>', text)
    assert found is not None, name
    if found[1] == "application/gzip":
        return json.loads(gzip.decompress(base64.b64decode(found[2])))
    return json.loads(found[2])
