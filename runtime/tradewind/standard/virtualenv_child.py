"""Runs one function in another interpreter.

A copy of this file is started there with a folder as its argument, so it uses nothing but the
standard library and no syntax that Python 3.8 lacks. In the folder: `order.json`, `input` (arguments),
afterwards `output` (result) or `error.json`.
"""

import __future__

import importlib
import json
import sys
import traceback
import types
from pathlib import Path


def main(folder: Path) -> None:
    """Calls the function that the folder's order describes. Exits with 1 where it raises."""
    order = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    try:
        serializer = importlib.import_module(order["serializer"])
        args, kwargs = serializer.loads((folder / "input").read_bytes())
    except Exception as error:
        tell(folder, error, "the arguments cannot be read in the other interpreter")
        sys.exit(1)
    module = types.ModuleType("tradewind_task")
    module.__file__ = order["file"]
    module.__dict__["virtualenv_string_args"] = order["string_args"]
    sys.modules[module.__name__] = module
    text = "\n" * (order["line"] - 1) + order["source"]  # tracebacks name the author's own lines
    try:
        code = compile(text, order["file"], "exec", __future__.annotations.compiler_flag)
        exec(code, module.__dict__)  # noqa: S102 - running the author's function is what this file is for
        result = getattr(module, order["function"])(*args, **kwargs)
    except Exception as error:
        tell(folder, error, "")
        sys.exit(1)
    try:
        data = serializer.dumps(result)
    except Exception as error:
        tell(folder, error, f"the result, a {type(result).__name__}, cannot be handed back")
        sys.exit(1)
    (folder / "output").write_bytes(data)


def tell(folder: Path, error: Exception, what: str) -> None:
    """Leaves the error for the task that waits."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    said = {"kind": type(error).__name__, "message": str(error), "what": what, "traceback": "".join(lines)}
    (folder / "error.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
