"""A boot that can't go on."""


class BootPanic(Exception):
    """The boot can't go on: `text` is what the kernel says, `cause` why, in memplan's words."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(text)
        self.text = text
        self.cause = cause
