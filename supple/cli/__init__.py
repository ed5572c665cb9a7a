"""The `supple` command: one module a command; importing this loads none of the machinery behind them."""

from supple.cli.app import main

__all__ = ["main"]
