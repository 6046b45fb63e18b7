"""How a log is laid out: what stands before the kernel's words in each line, and whether lines were wrapped.

Both are learned from the log itself.  A few of the kernel's lines can be mistaken for nothing else (``Linux version
6.1…``, ``BIOS-e820: [mem …``); whatever stands before them, in any language's dates and under any collector, stands
before all others too.  A line without it, in a log where every line has it, goes on with the line before.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from memplan.klog.facts import tells
from memplan.klog.memory_types import printed_e820_type
from memplan.klog.statements import is_statement
from memplan.klog.text import Log, shown_lines

#: Lines that are looked at to learn the layout, from some before the first that is certainly the kernel's.
_SAMPLE, _BEFORE = 4000, 40
#: Beginnings of lines that nobody but the kernel prints.
_CERTAIN = re.compile(
    r"Linux version \d+\.\d+\S* \(|BIOS-e820: \[(?:mem|gap)|(?:ACPI: )?SRAT: (?:PXM \d|Node \d+ PXM)"
    r"|ACPI: (?:RSDP|RSDT|XSDT|FACP|DSDT|APIC) (?:0x)?[0-9A-Fa-f]{8,16} |(?<![Kk]ernel )Command line: BOOT_IMAGE="
    r"|Kernel command line: |Memory: \d+[kK]/\d+[kK] available|Zone ranges:\s*$|Built \d+ zonelists"
)
#: What stands behind a line of which the end is known.
_ENDS = re.compile(
    r"BIOS-e820: \[mem 0x\w+-0x\w+\] +(?:usable|(?:device )?reserved|ACPI (?:data|NVS)|System RAM|unusable)(?!\w)(.*)",
    re.ASCII,
)
#: How far into a line what stands before the kernel's words may reach.
_PREFIX_LIMIT = 200
_STAMP = re.compile(r"\[ *\d+\.\d{6}\] ?(?:\[ *[TC]\d+\] ?)?")
_SYSLOG = re.compile(r"\bkernel(?:\[\d+\])?: ?|\bkernel - - - ?")
_LEVEL = re.compile(r"(?:<\d+>|\d+,\d+,\d+,[^;]{0,40};|[a-z]+ *:[a-z]+ *: )")
_WALL_CLOCK = re.compile(
    r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}\] ?|\d{4}-\d\d-\d\d[T ][\d:]{8}\S* (?:\|? *)"
)
_QUOTES = re.compile(r"(?:[>|] ?)+")
#: The runs that make the shape of a prefix: digits, letters, blanks; all else stands for itself.
_RUNS = re.compile(r"\d+|[^\W\d_]+|\s+|.", re.DOTALL)
#: The longest line that is put together, and the widths at which terminals and mail programs wrap.
_LONGEST = 1 << 14
_NARROWEST, _WIDEST = 40, 160
#: A log was wrapped where so many lines say so; without stamps, those that end within so many columns of the widest.
_MANY, _NEAR = 3, 8
#: As many blanks may have stood where a line was cut.
_BLANKS = 3
_OPTION = re.compile(r"[\w.,:/+\-]+(?:=\S*)?|--|\"[^\"]*\"?")
_MAP_ENTRY = re.compile(r"BIOS-e820: \[mem 0x\w+-0x\w+\]\s*(.*)", re.ASCII)
_COMMAND_LINE = re.compile(r"(?:Kernel c|C)ommand line: ")


class Line(NamedTuple):
    """What the kernel printed: the bare `text` of the line `number`.

    `last` is the number of the last line that was joined to it; `cut` says that the next line of the file may belong
    to it as well.  `column` is where the text begins in the line as a terminal shows it, from 1.
    """

    number: int
    text: str
    last: int = 0
    cut: bool = False
    column: int = 1


class Layout(NamedTuple):
    """What was learned of a log.

    `prefix` is what stands before the kernel's words (None: nothing, or what is known anyway), `suffix` what stands
    behind them; `quoted` says that lines are quoted as in mail, `stamped` that every one of the kernel's lines has a
    prefix with digits; lines were wrapped at `width` columns (0: not), `hard` in the middle of words.
    """

    prefix: re.Pattern[str] | None = None
    suffix: str = ""
    quoted: bool = False
    stamped: bool = False
    width: int = 0
    hard: bool = False

    def unquoted(self, line: str) -> str:
        """The line without the marks of quoted mail and what ends all lines."""
        if self.quoted and (quote := _QUOTES.match(line)):
            line = line[quote.end() :]
        if self.suffix and line.endswith(self.suffix):
            line = line.removesuffix(self.suffix)
            return line.replace('""', '"') if self.suffix.startswith('"') else line
        return line

    def split(self, line: str) -> tuple[bool, str]:
        """Whether the unquoted `line` begins with the prefix, and what the kernel printed in it."""
        if self.prefix is not None and (found := self.prefix.match(line)):
            return True, line[found.end() :]
        text = bare(line)
        if not text[:1].isalpha() and (found := _CERTAIN.search(text, 0, 2 * _PREFIX_LIMIT)):
            text = text[found.start() :]
        return False, text

    def wraps(self, line: str, following: str) -> bool:
        """Whether `line` ends where `following` had no more room."""
        word = following.split(None, 1)[:1]
        end = len(line) if self.hard else len(line.rstrip())
        return bool(word) and 0 < end <= self.width < end + _BLANKS + len(word[0])


def bare(line: str) -> str:
    """The line without time stamps and syslog's head, such as are common."""
    stamp = _STAMP.search(line, 0, _PREFIX_LIMIT)
    if stamp is not None:
        line = line[stamp.end() :]
    elif found := (_WALL_CLOCK.match(line) or _LEVEL.match(line)):
        line = line[found.end() :]
    if "kernel" in line[:_PREFIX_LIMIT] and (found := _SYSLOG.search(line, 0, _PREFIX_LIMIT)):
        line = line[found.end() :]
        if stamp is None and (found := _STAMP.match(line)):
            line = line[found.end() :]
    return line


def kernel_lines(log: Log) -> Iterator[Line]:
    """What the kernel printed, line by line: bare, and wrapped lines joined where that is certain."""
    lines = shown_lines(log)
    before: list[tuple[int, str]] = []
    for numbered in lines:
        before.append(numbered)
        if _CERTAIN.search(numbered[1], 0, 2 * _PREFIX_LIMIT):
            break
    else:
        yield from _joined(iter(before), Layout())
        return
    sample = before[-_BEFORE:] + list(islice(lines, _SAMPLE))
    layout = learned([line for _, line in sample])
    yield from _joined(chain(before[:-_BEFORE], sample, lines), layout)


def learned(sample: Sequence[str]) -> Layout:
    """The layout of a log with these lines in it."""
    certain = [index for index, line in enumerate(sample) if _CERTAIN.search(line, 0, 2 * _PREFIX_LIMIT)]
    if not certain:
        return Layout()
    region = [line for line in sample[certain[0] : certain[-1] + 1] if line.strip()]
    quoted = sum(line.lstrip().startswith((">", "|")) for line in region) * 10 > len(region) * 9
    ends = Counter(found[1] for line in region if (found := _ENDS.search(line)))
    suffix, count = ends.most_common(1)[0] if ends else ("", 0)
    layout = Layout(quoted=quoted, suffix=suffix if count > 1 and count * 10 > ends.total() * 8 else "")
    sample = [layout.unquoted(line) for line in sample]
    shapes: Counter[str] = Counter()
    for index in certain:
        found = _CERTAIN.search(sample[index])
        start = found.start() if found else 0
        shapes[_shape(sample[index][:start])] += 1
    indented = len(shapes) == 1
    known = [shape for shape in shapes if "\\d" in shape or (shape and (indented or "\\S" in shape))]
    prefix = re.compile("|".join(sorted(known, key=len, reverse=True))) if known else None
    stamped = len(certain) > 1 and sum(shapes[shape] for shape in shapes if "\\d" in shape) * 10 > len(certain) * 8
    return _with_width(layout._replace(prefix=prefix, stamped=stamped), sample[certain[0] :])


def _shape(prefix: str) -> str:
    """A pattern of what looks like `prefix`; blanks at its end count to the letter, as what follows may begin so."""
    if not prefix.strip():
        return re.escape(prefix)
    body = prefix.rstrip(" ")
    pattern = ""
    for run in _RUNS.findall(body):
        if run[0].isdigit():
            pattern += r"\d+"
        elif run[0].isalpha():
            pattern += r"[^\W\d_]+"
        elif run.isspace():
            pattern += r"\s*" if pattern.endswith(("\\[", "<")) else r"\s+"
        else:
            pattern += re.escape(run)
    return f"{pattern} {{0,{len(prefix) - len(body)}}}" if len(prefix) > len(body) else pattern


def _with_width(layout: Layout, sample: Sequence[str]) -> Layout:
    """`layout` with the width at which lines were wrapped: where most lines end that others go on with."""
    if not layout.stamped:
        return _narrow(layout, sample)
    pairs, previous = [], ""
    for line in sample:
        stamped, text = layout.split(line)
        if not stamped and len(previous) >= _NARROWEST and text.strip() and not is_statement(text):
            # The line ends here, and with the next word it would have ended there.
            end = len(previous.rstrip())
            pairs.append((end, end + _BLANKS + len(text.split(None, 1)[0]), previous, line))
        previous = line if line.strip() else ""
    if not pairs:
        return layout
    fits = _fitting(pairs)
    width = max(at for at, count in fits.items() if count * 10 >= max(fits.values()) * 8)
    fitting = [(line, following) for start, end, line, following in pairs if start <= width < end]
    if len(fitting) < _MANY or len(fitting) * 2 < len(pairs):
        return layout
    widest = max(len(line.rstrip()) for line in sample if " " in line.strip())
    return layout._replace(width=width, hard=_is_hard(fitting, width, widest))


def _fitting(pairs: Sequence[tuple[int, int, str, str]]) -> dict[int, int]:
    """How many of the pairs each line's end is between the ends of, by that end."""
    starts, ends = sorted(start for start, _, _, _ in pairs), sorted(end for _, end, _, _ in pairs)
    return {at: bisect_right(starts, at) - bisect_right(ends, at) for at in set(starts)}


def _is_hard(pairs: Sequence[tuple[str, str]], width: int, widest: int) -> bool:
    """Whether lines were cut at `width` wherever that is: by types of the map that were cut, else by full lines."""
    votes = Counter(
        printed_e820_type(words[1] + following) is not None and printed_e820_type(words[1]) is None and bool(words[1])
        for line, following in pairs
        if (words := re.search(r"BIOS-e820: \[mem 0x\w+-0x\w+\] *(\w*)$", line, re.ASCII))
    )
    if votes:
        return votes[True] > votes[False]
    return sum(len(line) >= width for line, _ in pairs) * 2 > max(len(pairs), 2) and widest <= width


def _narrow(layout: Layout, sample: Sequence[str]) -> Layout:
    """`layout` with the width of a log of which no line with more than one word is wider, and many are nearly so."""
    lengths = [len(line.rstrip()) for line in sample if " " in line.strip()]
    widest = max(lengths, default=0)
    near = sum(length > widest - _NEAR for length in lengths)
    if not _NARROWEST <= widest <= _WIDEST or near < _MANY:
        return layout
    full = lengths.count(widest)
    return layout._replace(width=widest, hard=full >= _MANY and full * 10 >= near * 7)


def _joined(lines: Iterator[tuple[int, str]], layout: Layout) -> Iterator[Line]:
    """The lines, bare, each with those that go on with it."""
    held: Line | None = None
    raw = ""
    for number, shown in lines:
        line = layout.unquoted(shown)
        stamped, text = layout.split(line)
        if held is not None:
            if not stamped and text.strip() and len(held.text) < _LONGEST:
                how = _continues(held, raw, text, layout)
                if how is not None:
                    joined = held.text + text if not how else f"{held.text.rstrip()} {text.strip()}"
                    held = held._replace(text=joined, last=number)
                    raw = line
                    continue
                if _may_continue(held, text, layout):
                    held = held._replace(cut=True)
            yield held
        held, raw = Line(number, text, number, column=max(shown.find(line), 0) + len(line) - len(text) + 1), line
    if held is not None:
        yield held


def _continues(held: Line, raw: str, text: str, layout: Layout) -> str | None:
    """What joins `text` to the line `held`, whose last row in the file is `raw`; None where nothing does."""
    glue = _glue(held, raw, text, layout)
    return None if glue is None or is_statement(text) or tells(text) else glue


def _glue(held: Line, raw: str, text: str, layout: Layout) -> str | None:
    """What would join them if `text` were no line of its own."""
    glue = "" if layout.hard and len(raw) >= layout.width and not text.startswith("  ") else " "
    if not _COMMAND_LINE.match(held.text) and _open(held.text):
        return glue
    wraps = layout.wraps(raw, text if layout.hard else text.strip())
    if _COMMAND_LINE.match(held.text):
        # Options may be joined to others for a weaker reason: to lose one is worse.
        words = text.split()[layout.hard :]
        return glue if _are_options(words) and (wraps or layout.stamped) else None
    return glue if wraps and (layout.stamped or is_statement(held.text)) else None


def _open(text: str) -> bool:
    """Whether a statement of interest ends within brackets, or before the type of its range."""
    if not is_statement(text):
        return False
    if entry := _MAP_ENTRY.match(text):
        return printed_e820_type(entry[1]) is None
    return text.count("(") > text.count(")") or text.count("[") > text.count("]")


def _are_options(words: Sequence[str]) -> bool:
    """Whether the words may be options; a word all in capitals is what a program prints at the log's end."""
    return all(_OPTION.fullmatch(word) and not word.endswith(":") and not word.isupper() for word in words)


def _may_continue(held: Line, text: str, layout: Layout) -> bool:
    """Whether `text`, which was not joined, may yet be the rest of a command line."""
    if not _COMMAND_LINE.match(held.text) or is_statement(text):
        return False
    return layout.stamped or _are_options(text.split())
