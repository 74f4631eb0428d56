"""How a command ends with an exit code of its own."""


class Ended(SystemExit):
    """The work of a command has ended with this exit code; it is passed on as it is."""
