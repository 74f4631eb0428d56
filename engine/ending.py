"""End this process at once, without losing what it has printed."""

import contextlib
import logging
import os
import sys
from typing import NoReturn


def end_at_once(code: int) -> NoReturn:
    """End with an exit code although user code may still be busy."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            # Nobody may read it any more, or its disk may be full, or it was just being written to.
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                stream.flush()
    os._exit(code)
