# Include in a Makefile: "make firmware-check" checks MACHINES, and against BASELINE only what is new since it.
MEMPLAN  ?= memplan
MACHINES ?= $(wildcard builds/*.yaml)
BASELINE ?=

.PHONY: firmware-check
firmware-check:
	$(MEMPLAN) check $(MACHINES) --jobs 2 --fail-on warning $(if $(BASELINE),--baseline $(BASELINE))
