"""Many cases at once: every place of the kernel image, ranges of options and sizes, fleets of machines."""
