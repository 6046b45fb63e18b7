"""KFENCE's pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memplan.boot.registry import step
from memplan.owner import Purpose
from memplan.units import PAGE_SIZE, memparse, round_up

if TYPE_CHECKING:
    from memplan.boot.context import Boot


@step("mm/kfence/core.c")
def kfence_alloc_pool(boot: Boot) -> None:
    """KFENCE's pool, where its sample interval is not 0; 6.5 on also its metadata; 5.12 on."""
    kernel = boot.kernel
    if not kernel.config("KFENCE"):
        return
    value = boot.cmdline.last("kfence.sample_interval")
    interval = memparse(value)[0] if value else kernel.config_number("KFENCE_SAMPLE_INTERVAL")
    if not interval:
        return
    objects = kernel.config_number("KFENCE_NUM_OBJECTS")
    boot.memory.alloc(
        (objects + 1) * 2 * PAGE_SIZE, PAGE_SIZE, owner=Purpose.KFENCE_POOL, caller="kfence_alloc_pool_and_metadata"
    )
    if boot.rules.kfence == "pool and metadata":
        size = round_up(objects * kernel.fact("struct.kfence_metadata"), PAGE_SIZE)
        boot.memory.alloc(size, PAGE_SIZE, owner=Purpose.KFENCE_METADATA, caller="kfence_alloc_pool_and_metadata")
