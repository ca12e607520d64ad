"""Values of numpy and pandas. Neither is imported before such a value is met."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Callable, Mapping
from typing import Any, Final

from tradewind.authoring.xcom_marks import Inner, Marked, Read, marked
from tradewind.model.errors import XComError
from tradewind.model.specs import Json

_LISTED: Final = 1000
"""Elements up to which an array is written as a list that people can read."""


def write_library(value: Any, kind: type[Any], path: str, inner: Inner) -> Marked | None:
    """The value with its mark; None if it is of neither library."""
    package = kind.__module__.partition(".")[0]
    if package == "numpy":
        return _numpy(value, inner)
    if package == "pandas":
        return _pandas(value, kind, path)
    return None


def _numpy(value: Any, inner: Inner) -> Marked | None:
    dtype: Any = getattr(value, "dtype", None)
    if dtype is None or isinstance(value, type):
        return None
    if hasattr(value, "__array_interface__") and type(value).__name__ == "ndarray":
        return _array(value, dtype, inner)
    if dtype.kind in "biufcSU" and dtype.itemsize <= 16 and dtype.char not in "gG":
        return marked("numpy", inner(value.item(), ".item()"), dtype=str(dtype))
    if dtype.kind in "SU":
        return marked("numpy", inner(value.item(), ".item()"), dtype=str(dtype))
    return marked("numpy", str(value), dtype=str(dtype), raw=base64.b64encode(value.tobytes()).decode())


def _array(value: Any, dtype: Any, inner: Inner) -> Marked:
    shape: Json = list(value.shape)
    if dtype.kind == "O":
        return marked("ndarray", inner(list(value.flat), ""), dtype="object", shape=shape)
    if dtype.kind in "biuf" and dtype.itemsize <= 8 and value.size <= _LISTED:
        return marked("ndarray", inner(value.ravel().tolist(), ""), dtype=str(dtype), shape=shape)
    numpy = importlib.import_module("numpy")
    buffer = io.BytesIO()
    numpy.save(buffer, value, allow_pickle=False)
    return marked("npy", base64.b64encode(buffer.getvalue()).decode(), dtype=str(dtype), shape=shape)


def _pandas(value: Any, kind: type[Any], path: str) -> Marked | None:
    name = kind.__name__
    if name == "Timestamp":
        zone: object = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)
        if zone is None and value.tzinfo is not None:
            zone = str(value.tzinfo)
        return marked("pandas", value.isoformat(), of=name, zone=zone)
    if name == "Timedelta":
        return marked("pandas", int(value.value), of=name, unit=value.unit)
    if name in ("NaTType", "NAType"):
        return marked("pandas", None, of=name)
    if name in ("DataFrame", "Series"):
        return _table(value, name, path)
    return None


def _arrow(what: str) -> Any:
    try:
        importlib.import_module("pyarrow.ipc")
        return importlib.import_module("pyarrow")
    except ImportError as why:
        raise XComError(
            f"{what}: a DataFrame or Series travels as Arrow data, and pyarrow is not installed; "
            "install it (pip install 'tradewind[dataframes]'), or store the table elsewhere and return where"
        ) from why


def _table(value: Any, name: str, path: str) -> Marked:
    """A table as a compressed Arrow stream: index, names and types come back."""
    arrow = _arrow(path)
    frame = value if name == "DataFrame" else value.to_frame(name="value" if value.name is None else value.name)
    try:
        table = arrow.Table.from_pandas(frame, preserve_index=True)
    except (arrow.ArrowException, TypeError, ValueError) as why:
        raise XComError(
            f"{path} is a pandas {name} with values that cannot be stored: {why}; "
            "give its columns one type each, or store it elsewhere and return where"
        ) from why
    sink = io.BytesIO()
    options = arrow.ipc.IpcWriteOptions(compression="zstd")
    with arrow.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    data = base64.b64encode(sink.getvalue()).decode()
    named = name == "DataFrame" or value.name is not None
    return marked("table", data, of=name, rows=len(value), named=named)


# ------------------------------------------------------------------------------- reading


def _read_scalar(mark: Marked, read: Read) -> Any:
    numpy = importlib.import_module("numpy")
    dtype = numpy.dtype(mark["dtype"])
    if "raw" in mark:
        return numpy.frombuffer(base64.b64decode(mark["raw"]), dtype=dtype)[0]
    return dtype.type(read(mark["value"]))


def _read_array(mark: Marked, read: Read) -> Any:
    numpy = importlib.import_module("numpy")
    items = read(mark["value"])
    made = numpy.empty(len(items), dtype=mark["dtype"])
    for n, item in enumerate(items):
        made[n] = item
    return made.reshape(mark["shape"])


def _read_npy(mark: Marked, _: Read) -> Any:
    numpy = importlib.import_module("numpy")
    return numpy.load(io.BytesIO(base64.b64decode(mark["value"])), allow_pickle=False)


def _read_pandas(mark: Marked, _: Read) -> Any:
    pandas = importlib.import_module("pandas")
    kind, value = mark["of"], mark["value"]
    if kind == "Timestamp":
        at = pandas.Timestamp(value)
        return at if mark["zone"] is None else at.tz_convert(mark["zone"])
    if kind == "Timedelta":
        return pandas.Timedelta(value, unit=mark["unit"]).as_unit(mark["unit"])
    return pandas.NaT if kind == "NaTType" else pandas.NA


def _read_table(mark: Marked, _: Read) -> Any:
    arrow = _arrow("a stored value")
    with arrow.ipc.open_stream(base64.b64decode(mark["value"])) as reader:
        frame = reader.read_all().to_pandas()
    if mark["of"] == "DataFrame":
        return frame
    series = frame.iloc[:, 0]
    if not mark["named"]:
        series.name = None
    return series


LIBRARY_READERS: Final[Mapping[str, Callable[[Marked, Read], Any]]] = {
    "numpy": _read_scalar,
    "ndarray": _read_array,
    "npy": _read_npy,
    "pandas": _read_pandas,
    "table": _read_table,
}


def summary(mark: Marked) -> Json:
    """What people see of a value whose bytes say nothing to them; None for all others."""
    if mark.get("__type__") == "table":
        return f"<pandas {mark['of']} of {mark['rows']} rows>"
    if mark.get("__type__") == "npy":
        return f"<numpy array, dtype {mark['dtype']}, shape {tuple(mark['shape'])}>"
    return None
