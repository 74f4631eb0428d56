"""The command `ctl`."""

import sys
from typing import TYPE_CHECKING, NoReturn

from ctl.errors import CtlError
from ctl.installation import check_extra, check_packages

if TYPE_CHECKING:
    from engine.errors import EngineError

_BUG = 1
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
    from ctl.ui.console import UnreadError
    from engine.errors import EngineError

    try:
        app(prog_name="ctl")
    except Ended:
        raise
    except SystemExit as end:
        sys.exit(_USAGE if end.code == _CLICK_USAGE else end.code)
    except (CtlError, EngineError) as error:
        _fail(error, error.exit_code)
    except UnreadError:
        # What was wanted of the results has been read.
        sys.exit(0)
    except Exception:
        _confess()


def _fail(error: "CtlError | EngineError", code: int) -> NoReturn:
    from ctl.ui.console import say
    from ctl.ui.errors import render

    say(render(error) if isinstance(error, CtlError) else f"error: {error}")
    sys.exit(code)


def _confess() -> NoReturn:
    """Print a traceback, as Python does, but without the secrets that it may show."""
    import traceback

    from ctl.ui.console import say

    say(f"{traceback.format_exc()}error: this is a bug in hostmesh")
    sys.exit(_BUG)
