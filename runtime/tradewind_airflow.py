"""Makes `import airflow` find Tradewind in every Python of the environment: tests, notebooks, `python a_dag_file.py`.

`tradewind_airflow.pth` imports this module whenever a Python starts, so it imports nothing itself. The import hook
proper (`tradewind.compat`) comes with the first `import airflow`, and stays away where a real Airflow is installed.
"""

import sys
from importlib.machinery import ModuleSpec


class AirflowOnDemand:
    """Waits at the head of the finders for the one name."""

    @classmethod
    def find_spec(cls, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Puts the import hook in its own place and asks that."""
        del path, target
        if fullname != "airflow":
            return None
        withdraw()
        from tradewind.compat import find_airflow

        return find_airflow()


def offer() -> None:
    """Serves `airflow` from the first time that it is asked for. Twice is allowed."""
    withdraw()
    sys.meta_path.insert(0, AirflowOnDemand)


def withdraw() -> None:
    """Takes the offer back."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not AirflowOnDemand]


offer()
