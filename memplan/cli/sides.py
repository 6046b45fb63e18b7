"""The two plans that a command compares, told by what is given twice: machines, kernels, options, keys, directions."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from memplan.cli.options import kernel_option, load, set_option
from memplan.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from memplan.machine.model import Machine
    from memplan.plan import Plan
    from memplan.rule_changes import RuleChange

_DIRECTIONS = "memplan.sides.directions"


class Side(NamedTuple):
    """What a plan is made of; None is the machine's own, or as the kernel decides."""

    machine: str
    kernel: str | None
    cmdline: str | None
    append: str | None
    bottom_up: bool | None
    sets: tuple[str, ...]

    def load(self) -> Machine:
        """The machine with the side's changes; InputError where it can't be used."""
        return load(self.machine, self.sets, self.cmdline, (self.append,) if self.append else ())


class Sides(NamedTuple):
    """What the options of :func:`side_options` were given, in the order of the command line."""

    machines: tuple[str, ...]
    kernels: tuple[str, ...]
    sets: tuple[str, ...]
    cmdlines: tuple[str, ...]
    appends: tuple[str, ...]
    directions: tuple[bool, ...]

    def pair(self) -> tuple[tuple[Side, Side], tuple[str, str]] | None:
        """The two sides and what to call them, by what differs; None where all is given for one plan only.

        What is given once holds for both; where nothing else differs, changes (--set, --append) make the second one.
        UsageError where something is given more than twice.
        """
        choices = list(self._choices())
        picked: list[tuple[Any, Any]] = []
        differ: list[tuple[str, str]] = []
        for option, values, texts in choices:
            if len(values) > 2:
                raise UsageError(f"{option}: given {len(values)} times; two plans are compared")
            picked.append((values[0], values[-1]) if values else (None, None))
            if len(values) == 2:
                differ.append((texts[0], texts[1]))
        if not differ and (self.sets or self.appends):
            # The machine as it is described, and as it would be.
            picked = [
                (None if option.startswith(("--append", "--set")) else first, second)
                for (option, _, _), (first, second) in zip(choices, picked, strict=True)
            ]
            differ = [("as described", ", ".join((*self.sets, *self.appends)))]
        if not differ:
            return None
        first, second = (_side([pair[number] for pair in picked]) for number in (0, 1))
        labels = (", ".join(pair[0] for pair in differ), ", ".join(pair[1] for pair in differ))
        return (first, second), labels

    def single(self) -> Side:
        """The one plan that is told where :meth:`pair` is None."""
        return _side([values[0] if values else None for _, values, _ in self._choices()])

    def words(self) -> list[str]:
        """What was given, as words of a command line."""
        given = [
            ("--kernel", self.kernels),
            ("--set", self.sets),
            ("--cmdline", self.cmdlines),
            ("--append", self.appends),
        ]
        options = [word for option, values in given for value in values for word in (option, value)]
        directions = [f"--{_direction_name(up)}" for up in self.directions]
        return [*self.machines, *options, *directions]

    def _choices(self) -> list[tuple[str, tuple[Any, ...], tuple[str, ...]]]:
        """Each thing that can be given twice: its option, the values given, and what to call them."""
        names = tuple(map(_direction_name, self.directions))
        choices: list[tuple[str, tuple[Any, ...], tuple[str, ...]]] = [
            ("MACHINE", self.machines, self.machines),
            ("--kernel", self.kernels, self.kernels),
            ("--cmdline", self.cmdlines, tuple(text or "no boot options" for text in self.cmdlines)),
            ("--append", self.appends, tuple(text or "nothing appended" for text in self.appends)),
            ("--top-down and --bottom-up", self.directions, names),
        ]
        for key in dict.fromkeys(text.partition("=")[0].strip() for text in self.sets):
            values = tuple(text for text in self.sets if text.partition("=")[0].strip() == key)
            choices.append((f"--set {key}", values, values))
        return choices


def side_options(command: Callable[..., int]) -> Callable[..., int]:
    """The machines and the options that make two plans, which `command` gets as one :class:`Sides` called `sides`."""

    @wraps(command)
    def gathered(
        *,
        machines: tuple[str, ...],
        kernels: tuple[str, ...],
        sets: tuple[str, ...],
        cmdlines: tuple[str, ...],
        appends: tuple[str, ...],
        **others: Any,
    ) -> int:
        directions: list[bool] = click.get_current_context().meta.get(_DIRECTIONS, [])
        given = Sides(machines, kernels, sets, cmdlines, appends, tuple(directions))
        return command(sides=given, **others)

    decorators = [
        click.argument("machines", metavar="MACHINE [MACHINE]", nargs=-1, required=True, type=click.Path()),
        _direction(bottom_up=False),
        _direction(bottom_up=True),
        kernel_option("A kernel; once for both plans, or twice.", multiple=True),
        set_option("Change a key of the description; a key given twice makes the two plans."),
        click.option(
            "--cmdline", "cmdlines", metavar="TEXT", multiple=True, help="Boot options; once for both, or twice."
        ),
        click.option("--append", "appends", metavar="TEXT", multiple=True, help="More boot options; once or twice."),
    ]
    decorated: Callable[..., int] = gathered
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return decorated


def machines_of(sides: tuple[Side, Side]) -> tuple[Machine, Machine]:
    """The machines of both sides; one that both share is read once.  InputError where one can't be used."""
    first, second = sides
    machine = first.load()
    shared = second._replace(kernel=first.kernel, bottom_up=first.bottom_up) == first
    return machine, machine if shared else second.load()


def rules_between(sides: tuple[Side, Side], machine: Machine, plans: tuple[Plan, Plan]) -> tuple[RuleChange, ...]:
    """What makes the outcomes differ, where only the kernels do that the first side's `machine` boots."""
    first, second = sides
    if first.kernel is None or second.kernel is None or first._replace(kernel=second.kernel) != second:
        return ()
    from memplan.history import Build
    from memplan.kernel.load import kernel_of
    from memplan.rule_changes import rule_changes

    builds = [Build(name, kernel_of(machine.kernel, name)) for name in (first.kernel, second.kernel)]
    return rule_changes(machine, (builds[0], builds[1]), plans, bottom_up=first.bottom_up)


def _side(values: list[Any]) -> Side:
    """What one plan is made of: single choices, and then the changes."""
    machine, kernel, cmdline, append, bottom_up, *sets = values
    return Side(machine, kernel, cmdline, append, bottom_up, tuple(text for text in sets if text is not None))


def _direction_name(bottom_up: bool) -> str:
    return "bottom-up" if bottom_up else "top-down"


def _direction(*, bottom_up: bool) -> Callable[[Any], Any]:
    """A direction's flag; the order in which both were given says which plan is which."""

    def note(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            ctx.meta.setdefault(_DIRECTIONS, []).append(bottom_up)

    name = _direction_name(bottom_up)
    return click.option(
        f"--{name}",
        is_flag=True,
        expose_value=False,
        callback=note,
        help=f"A plan whose allocations before the SRAT go {name}.",
    )
