"""`python -m supple` is `supple`."""

from supple.cli import main

raise SystemExit(main())
