"""The codes with which a command ends, and the exception that ends it."""

DONE, FOUND_FAULTS, WRONG_ARGUMENTS, REFUSED, STORE_FAILED, NOT_WRITTEN = 0, 1, 2, 3, 4, 5
INTERRUPTED = 130

CODES = """exit codes:
  0  done
  1  explain --check has found warnings, or warm has left something cold
  2  the arguments are wrong
  3  the command cannot do that with this store
  4  the store has failed
  5  the output could not be written, to a full disk or a closed pipe
"""


class Refusal(Exception):  # noqa: N818, it is no error of the program
    """The command ends with a message and a code."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        """Say why."""
        super().__init__(message)
        self.code = code
