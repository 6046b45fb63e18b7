"""Where KASLR may put the kernel: the slots of the decompressor and of EFI's stub, by version."""
