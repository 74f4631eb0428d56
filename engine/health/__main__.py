"""`python -m engine.health PATH`."""

import sys

from engine.health.asking import main

sys.exit(main())
