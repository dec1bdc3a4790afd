"""``python -m dinov``."""

from dinov.cli import main

raise SystemExit(main())
