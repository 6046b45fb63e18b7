"""``memplan schema``: JSON Schemas, of machine descriptions for editors and of the output for programs."""

from __future__ import annotations

from typing import Any

import click

_SCHEMAS = (
    *("machine", "plan", "summary", "diff", "check", "explain", "sweep", "history", "advice", "hotadd", "report"),
    *("how-much", "limits"),
)


@click.command("schema")
@click.argument("what", type=click.Choice(_SCHEMAS), default="machine")
def command(what: str) -> None:
    """Print the JSON Schema of machine descriptions, or of what a command writes with --format json.

    plan is what `simulate` writes, summary what `simulate --summary` does, advice what `advise` does, how-much what
    `hotadd --how-much` does, report the data in a page of `report`; the others are the commands' own.  Exit status: 0;
    2 for bad usage.
    """
    import json

    click.echo(json.dumps(_schema(what), indent=2))


def _schema(what: str) -> dict[str, Any]:
    if what == "machine":
        from memplan.machine.schema import machine_schema

        return machine_schema()
    if what == "hotadd":
        from memplan.render.hotadd_json import hotadd_schema

        return hotadd_schema()
    if what == "how-much":
        from memplan.render.hotadd_how_much import how_much_schema

        return how_much_schema()
    if what == "report":
        from memplan.report.schema import page_schema

        return page_schema()
    if what == "limits":
        from memplan.render.limits_json import limits_schema

        return limits_schema()
    if what == "check":
        from memplan.render.check_json import check_schema

        return check_schema()
    if what == "explain":
        from memplan.render.explain_json import explain_schema

        return explain_schema()
    if what == "sweep":
        from memplan.render.sweep_json import sweep_schema

        return sweep_schema()
    if what == "advice":
        from memplan.render.advice_json import advice_schema

        return advice_schema()
    if what == "summary":
        from memplan.render.summary_json import summary_schema

        return summary_schema()
    if what == "history":
        from memplan.render.history_json import history_schema

        return history_schema()
    if what == "diff":
        from memplan.render.diff_json import diff_schema

        return diff_schema()
    from memplan.render.plan_json import plan_schema

    return plan_schema()
