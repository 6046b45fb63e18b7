"""The lines in which the kernel prints boot-time memory, described once: types of memory, maps, the SRAT, whole boots.

The reader of descriptions, the reader of logs, `memplan.verification` and the checks all take their words from here.
"""
