"""``python -m tradewind`` is ``tradewind``."""

from __future__ import annotations

from tradewind.cli.main import main

if __name__ == "__main__":
    main()
