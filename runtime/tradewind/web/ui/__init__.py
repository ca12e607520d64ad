"""The web pages: TypeScript sources beside this file, and what the build makes of them in ``dist/``.

The server serves ``DIST``; where it is missing (the machine had no Node when the project was installed) the REST API
serves all the same, and ``python -m tradewind.web.ui.build`` makes the pages later.
"""

from pathlib import Path
from typing import Final

DIST: Final = Path(__file__).resolve().parent / "dist"
"""The built pages: ``index.html``, ``favicon.svg`` and ``assets/``, whose names change with their contents."""


def is_built() -> bool:
    """Whether there are pages to serve."""
    return (DIST / "index.html").is_file()
