"""`import airflow…` in existing DAG files, answered by Tradewind.

`import airflow` finds it in every Python of the environment (`tradewind_airflow`, by a file beside the installed
package). `install()` makes every module of `names.MODULES` importable under its Airflow name, in the process
that imports DAG files, and only where no real Airflow is installed. Names and modules that are not
served fail at import with a sentence that says so.
"""

from __future__ import annotations

from tradewind.compat.finder import NotServed, find_airflow, install, uninstall

__all__ = ["NotServed", "find_airflow", "install", "uninstall"]
