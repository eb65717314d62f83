"""The one exception that a person is meant to read."""


class FerError(Exception):
    """Something the caller can put right: what is wrong, and what to do next.

    Raise it where the mistake is found; the command line prints it in one place, as two lines,
    and exits with status 2. Any other exception is a fault of the program.

    Args:
        message: what is wrong, in one line, naming the file, row or option it is about.
        hint: what to do about it, in one line; empty where the message says it already.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
