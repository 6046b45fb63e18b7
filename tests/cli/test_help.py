"""Every command's help: what it takes, how it ends, and examples that the command itself accepts."""

from __future__ import annotations

import shlex

import click
import pytest

from memplan.cli import available
from memplan.cli.examples import EXAMPLES
from memplan.cli.group import group


def command(name: str) -> click.Command:
    found = group.get_command(click.Context(group), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", available())
def test_help_explains_every_option_and_every_way_to_end(name: str) -> None:
    own = command(name)
    assert own.help is not None
    assert "Exit status: 0" in " ".join(own.help.split())
    for parameter in own.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts
            assert parameter.help.endswith("."), parameter.opts


@pytest.mark.parametrize("name", [name for name in available() if name != "explain"])
def test_examples_end_the_help_and_are_calls_that_the_command_takes(name: str) -> None:
    own = command(name)
    with click.Context(own, info_name=f"memplan {name}") as context:
        text = own.get_help(context)
    assert max(map(len, text.splitlines())) <= 80
    for call, what in EXAMPLES[name]:
        assert f"memplan {name} {call}".strip() in text
        assert what in text
        assert text.index("Options:") < text.index("Examples:")
        with own.make_context(name, shlex.split(call)) as context:
            assert not context.args


def test_no_example_is_for_a_command_that_is_not_there() -> None:
    assert set(EXAMPLES) == set(available()) - {"explain"}
