"""What is modelled, verified and left out (``memplan limits``): as text, as JSON, and JSON's schema."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memplan.coverage import Coverage
    from memplan.kernel.unreplayed import Case, Unreplayed

VERSION = 1
_WIDTH = 100


def limits_lines(found: Coverage) -> Iterator[str]:
    """The list for people."""
    verified = found.verified
    yield f"Modelled: what Linux {found.oldest} to {found.newest} does with memory from its first reservation to the"
    yield f"page allocator, on x86-64, in {sum(map(len, found.steps.values()))} steps"
    for source, names in found.steps.items():
        yield from _wrapped(f"  {source}: ", ", ".join(names))
    yield ""
    yield "Verified against"
    yield from _wrapped(
        "  boots: ",
        f"{sum(verified.boots.values())} of real kernels, range for range ({_counts(verified.boots)})",
    )
    yield from _wrapped(
        "  traces of memblock: ",
        f"{sum(verified.traces.values())} of the kernels' own code, {verified.operations:,} operations "
        f"({_counts(verified.traces)})",
    )
    yield f"  published logs: {verified.reports} of machines in use, by all that each tells"
    yield f"  added memory: {verified.hotadd_runs} runs, block by block"
    yield f"  sources: {len(found.read)} versions (memplan kernel --list tells which)"
    yield ""
    yield "Not modelled: a plan whose machine, kernel or options ask for it says so, and check's rule MP706 does"
    for limit in found.limits:
        times = f" ({limit.releases})" if limit.releases else ""
        yield from _wrapped(f"  {limit.name}{times}: ", limit.what)
        yield from _wrapped("    asked for by ", "; ".join(dict.fromkeys(map(_case_text, limit.cases))))
    yield ""
    yield "Not modelled, and no plan can tell of it"
    for text in found.unseen:
        yield from _wrapped("  ", text)


def _counts(by_release: Mapping[str, int]) -> str:
    return ", ".join(f"{release}: {count}" for release, count in by_release.items())


def _wrapped(head: str, text: str) -> list[str]:
    indent = " " * (len(head) - len(head.lstrip()) + 2)
    return wrap(text, _WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False)


def _case_text(case: Case) -> str:
    if case.machine:
        return {"foreign": "a kernel's name of another architecture"}.get(
            case.machine, f"the description ({case.machine})"
        )
    if case.table:
        return f"the ACPI table {case.table}"
    if not case.options:
        return f"CONFIG_{case.config}"
    return f"{', '.join(case.options)}{' (some values)' if case.value else ''}"


def limits_document(found: Coverage) -> dict[str, Any]:
    """The list as JSON has it."""
    return {
        "format": "memplan limits",
        "version": VERSION,
        "modelled": {
            "oldest": found.oldest,
            "newest": found.newest,
            "steps": [{"source": source, "names": list(names)} for source, names in found.steps.items()],
        },
        "verified": {**found.verified._asdict(), "sources": list(found.read)},
        "not_modelled": [_limit(limit) for limit in found.limits],
        "not_told": list(found.unseen),
    }


def _limit(limit: Unreplayed) -> dict[str, Any]:
    return {
        "name": limit.name,
        "what": limit.what,
        "from": limit.first or None,
        "until": limit.until or None,
        "when": [
            {
                "options": list(case.options),
                "value": case.value or None,
                "config": case.config or None,
                "table": case.table or None,
                "machine": case.machine or None,
            }
            for case in limit.cases
        ],
    }


def limits_schema() -> dict[str, Any]:
    """The schema of what ``memplan limits --format json`` writes."""
    text = {"type": "string"}
    texts = {"type": "array", "items": text}
    maybe = {"type": ["string", "null"]}
    number = {"type": "integer", "minimum": 0}
    counts = {"type": "object", "additionalProperties": number}
    case = _object(
        "one way to come to it: all that is not null holds",
        options={**texts, "description": "one of these boot options is given"},
        value={**maybe, "description": "a regular expression for the option's whole value"},
        config={**maybe, "description": "the kernel's configuration has this option"},
        table={**maybe, "description": "there is this ACPI table"},
        machine={**maybe, "description": "the description says so"},
    )
    limit = _object(
        "one thing that is not modelled",
        name=text,
        what=text,
        **{"from": {**maybe, "description": "the first release that has it"}},
        until={**maybe, "description": "the first release without it"},
        when={"type": "array", "items": case},
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "memplan limits",
        **_object(
            "what memplan models, what that was verified against, and what it leaves out",
            format={"const": "memplan limits"},
            version={"const": VERSION},
            modelled=_object(
                "the steps of early boot",
                oldest=text,
                newest=text,
                steps={"type": "array", "items": _object("the functions of one file", source=text, names=texts)},
            ),
            verified=_object(
                "counts of what the tests hold plans against",
                boots={**counts, "description": "real boots by release"},
                traces={**counts, "description": "recorded traces of memblock by release"},
                operations={**number, "description": "operations in all traces"},
                reports={**number, "description": "logs that people published"},
                hotadd_runs={**number, "description": "recorded runs of memory that came and went"},
                sources={**texts, "description": "versions whose source was read"},
            ),
            not_modelled={"type": "array", "items": limit, "description": "what a plan names where it comes to it"},
            not_told={**texts, "description": "what no plan can tell of"},
        ),
    }


def _object(description: str, **members: Any) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": members, "required": list(members)}
