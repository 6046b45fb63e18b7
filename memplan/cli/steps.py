"""Steps after boot as options: memory is added, put on-line, taken off-line and asked back, in the order given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.hotadd.scenario import Scenario, ScenarioStep

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_META = "memplan.cli.steps"
_OPTIONS = {
    "add": ("DIMM", "Plug a DIMM in: 1G, 1G@node1, 4G@node0,addr=0x240000000."),
    "online": ("BLOCKS", "Put blocks on-line: d0, movable:d0:0-3, kernel:8."),
    "offline": ("BLOCKS", "Take blocks off-line: d0, d0:2-5, 8."),
    "remove": ("DIMM", "Ask a DIMM back: d0."),
    "sh": ("TEXT", "A command on the machine, as far as memory's files show it."),
}


class OrderedSteps(click.Command):
    """Keeps the order in which the options that are steps were given, which counts."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's own; the steps go to the context's meta data as (option, text)."""
        if not ctx.resilient_parsing:
            options, _, order = self.make_parser(ctx).parse_args(args=list(args))
            left = {name: iter(options.get(name) or ()) for name in _OPTIONS}
            ctx.meta[_META] = [(option.name, next(left[option.name])) for option in order if option.name in _OPTIONS]
        return super().parse_args(ctx, args)


def step_options(function: Decorated) -> Decorated:
    """The options that are steps, and --scenario; for commands of the class OrderedSteps."""
    text = "Steps from a file; those of the options come behind them."
    function = click.option("--scenario", metavar="FILE", help=text)(function)
    for name, (metavar, text) in reversed(_OPTIONS.items()):
        option = click.option(f"--{name}", metavar=metavar, multiple=True, help=text, expose_value=False)
        function = option(function)
    return function


def scenario_of(path: str | None) -> Scenario:
    """The steps of the file at `path` (None: of none), and behind them those of the options."""
    from memplan.hotadd.scenario import Scenario, load_scenario

    given = click.get_current_context().meta[_META]
    scenario = load_scenario(path) if path is not None else Scenario(())
    return scenario._replace(steps=(*scenario.steps, *(_step(option, text) for option, text in given)))


def step_words(path: str | None) -> list[str]:
    """What was given, as words of a command line."""
    given = click.get_current_context().meta[_META]
    return [
        *(("--scenario", path) if path is not None else ()),
        *(word for name, text in given for word in (f"--{name}", text)),
    ]


def wants_steps(path: str | None) -> bool:
    """Whether any step is given, by a file or by options."""
    return path is not None or bool(click.get_current_context().meta[_META])


def _step(option: str, text: str) -> ScenarioStep:
    from memplan.hotadd.scenario import Offline, Remove, Shell, parse_add, parse_dimm, parse_online, parse_targets

    try:
        if option == "add":
            return parse_add(text)
        if option == "online":
            return parse_online(text)
        if option == "offline":
            return Offline(parse_targets(text))
        return Remove(parse_dimm(text)) if option == "remove" else Shell(text)
    except UsageError as error:
        raise UsageError(f"--{option}: {error}") from None
