"""Type check and tests of the web pages, with the machine's Node or the one that pyright brings along."""

import os
import subprocess
import sys

from tradewind.web.ui.build import HERE, OLDEST_NODE, Npm, find_npm

INSTALL = ("install", "--include=dev", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")


def main() -> int:
    """0: all is well, or there is no Node; on the build machine (CI is set) there has to be one."""
    npm = find_npm()
    if npm is None:
        needed = ".".join(map(str, OLDEST_NODE))
        print(f"NOT RUN: type check and tests of the web pages: no Node {needed} or newer with npm")
        return 1 if os.environ.get("CI") else 0
    stamp, vitest = HERE / "node_modules" / ".checked", HERE / "node_modules" / ".bin" / "vitest"
    current = vitest.exists() and stamp.exists() and stamp.stat().st_mtime >= (HERE / "package.json").stat().st_mtime
    for step in (*(() if current else (INSTALL,)), ("run", "check"), ("run", "test")):
        code = _npm(npm, *step)
        if code:
            print(f"npm {' '.join(step)} ended with {code} in {HERE}")
            return 1
    stamp.touch()
    return 0


def _npm(npm: Npm, *words: str) -> int:
    words = (words[0], "--silent", *words[1:]) if words[0] == "run" else words
    return subprocess.run(
        [*npm.command, *words], cwd=HERE, env=dict(npm.environment), check=False, stdin=subprocess.DEVNULL
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
