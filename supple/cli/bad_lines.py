"""What becomes of bad input."""

from __future__ import annotations

import sys

from supple.errors import InputError


class BadLines:
    """Called with each problem: raises it, or with `skip` reports and counts it, so that reading goes on."""

    def __init__(self, skip: bool):
        self.skip, self.count = skip, 0

    def __call__(self, problem: InputError) -> None:
        if not self.skip:
            raise problem
        self.count += 1
        print(f"supple: {problem} (skipped)", file=sys.stderr)

    def conclude(self, good: int) -> None:
        """Say how many were skipped; InputError if nothing else was there."""
        if self.count and not good:
            raise InputError(f"nothing good to read: all {self.count} skipped")
        if self.count:
            print(f"supple: {self.count} skipped, {good} read", file=sys.stderr)
