"""What stands at the end of each command's help: calls to begin with."""

from __future__ import annotations

#: Command -> pairs of a call, without "memplan" and the command, and what it does.
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "simulate": (
        ("m.yaml", "one screen on a terminal; all of it in a pipe"),
        ("m.yaml --section reserved --section zones", "two parts of the report, in full"),
        ("m.yaml --append crashkernel=512M --kernel 6.1", "what if"),
        ("*.yaml --summary --kernel 6.1 --kernel 6.12", "which machines lose a node"),
        ("m.yaml --format trace", "memblock's lines, as the kernel prints them"),
    ),
    "map": (
        ("m.yaml", "a strip for each node"),
        ("m.yaml --set initrd.start=2G -o map.svg", "the picture of a what-if"),
    ),
    "diff": (
        ("m.yaml --top-down --bottom-up", "what the direction changes"),
        ("m.yaml --kernel 5.10 --kernel 6.12", "two kernels, and the rules that matter"),
        ("m.yaml --set initrd.start=2G", "as described, and with the change"),
        ("old.yaml new.yaml --exit-code", "two machines; status 1 where they differ"),
    ),
    "init": (
        ("-o m.yaml", "two nodes, the second hot-pluggable"),
        ("--nodes 4 --memory 2T --hotplug 1-3", "a larger machine, to the terminal"),
    ),
    "sweep": (
        ("m.yaml --kaslr", "every place of the kernel"),
        ("m.yaml --vary crashkernel=128M..8G", "the largest crash kernel that fits"),
        ("*.yaml --kernel 5.10 --kernel 6.12 --vary movable_node=on,off", "all combinations"),
    ),
    "history": (
        ("m.yaml", "where the verdict changes, and by which commit"),
        ("m.yaml --from rhel-8 --to rhel-9 --want removable:node3", "one wish, two distributions"),
    ),
    "advise": (
        ("m.yaml --want removable:all", "the smallest change that gives it"),
        ("m.yaml --want 'crashkernel>=1G' --apply new.yaml", "and the changed description"),
    ),
    "import": (
        ("dmesg.txt -o m.yaml", "from a boot log"),
        ("SRAT.aml dmesg.txt -o m.yaml", "from tables; the log fills in the rest"),
        ("--live -o m.yaml", "from this computer"),
    ),
    "export": (("m.yaml --srat SRAT.aml --slit SLIT.aml", "the tables in binary form"),),
    "kernel": (
        ("--list", "which kernels are known, and how well"),
        ("--vmlinuz bzImage --system-map System.map -o mine.yaml", "learn a build"),
        ("--rules 6.8 --against 5.15", "what two versions do differently"),
    ),
    "verify": (
        ("dmesg.txt", "is the plan what that kernel did?"),
        ("dmesg.txt m.yaml --boot 2", "the second boot of a log, on a described machine"),
    ),
    "boot": (("m.yaml --kernel-image bzImage --log boot.log", "boot it in QEMU and verify"),),
    "check": (
        ("m.yaml", "all rules"),
        ("fleet/ --jobs 4 --format junit -o report.xml", "a folder, in CI"),
        ("m.yaml --select MP2xx,initrd-outside-ram --quiet", "some rules"),
        ("m.yaml --expect movable:node1 --expect crashkernel", "what must hold"),
    ),
    "report": (
        ("m.yaml -o m.html", "one file, the boot as a film"),
        ("m.yaml --add 1G@node1 --offline d0 -o m.html", "and what comes after boot"),
    ),
    "limits": (("", "what is modelled, and what is not"),),
    "hotadd": (
        ("m.yaml --add 1G@node1 --online movable:d0", "plug a DIMM in"),
        ("m.yaml --how-much --dimm 4G", "the most that can be added"),
    ),
    "schema": (
        ("", "of machine descriptions, for an editor"),
        ("plan", "of simulate --format json"),
    ),
}


def examples_text(command: str) -> str:
    """The examples of `command` as the last paragraph of its help; "" where there are none."""
    calls = [(f"memplan {command} {call}".strip(), what) for call, what in EXAMPLES.get(command, ())]
    if not calls:
        return ""
    return "\n".join(["\b", "Examples:", *(f"  {call}\n      {what}" for call, what in calls)])
