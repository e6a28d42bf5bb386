"""``python -m crossdock`` is the same as ``crossdock``."""

import sys

from crossdock.cli.main import main

sys.exit(main())
