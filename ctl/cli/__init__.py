"""The command `ctl`."""

import sys

from ctl.errors import CtlError
from ctl.installation import check_extra, check_packages

_CLICK_USAGE = 2
_USAGE = 64
_INTERRUPTED = 130


def main() -> None:
    """Run the command line of this process, and exit."""
    try:
        _main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _main() -> None:
    try:
        check_packages()
        check_extra()
    except CtlError as error:
        _fail(error, error.exit_code)
    # Both need what has just been found to be there.
    from ctl.cli.application import app
    from ctl.cli.ending import Ended
    from engine.errors import EngineError

    try:
        app(prog_name="ctl")
    except Ended:
        raise
    except SystemExit as end:
        sys.exit(_USAGE if end.code == _CLICK_USAGE else end.code)
    except (CtlError, EngineError) as error:
        _fail(error, error.exit_code)


def _fail(error: Exception, code: int) -> None:
    sys.stderr.write(f"error: {error}\n")
    sys.exit(code)
