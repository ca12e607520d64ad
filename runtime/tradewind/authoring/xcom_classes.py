"""Values of the author's own classes: dataclasses, attrs classes, named tuples, enums, pydantic models, and
classes that have `serialize()` and `deserialize(data, version)`.

A stored value names its class; reading it imports that class. Only classes that are made for data are accepted,
and of those only the ones that `core.allowed_deserialization_classes` allows where it is set.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import sys
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, cast

from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.trigger_kinds import module_seen
from tradewind.authoring.xcom_marks import Inner, Marked, Read, marked
from tradewind.model.errors import XComError
from tradewind.model.specs import Json


def write_object(value: Any, kind: type[Any], path: str, inner: Inner) -> Marked | None:
    """The value with its mark and the path of its class; None if its class is not of these kinds."""
    if isinstance(value, enum.Enum):
        name = value.name if isinstance(getattr(value, "name", None), str) and value.name in kind.__members__ else None
        more: dict[str, Json] = {} if name is not None else {"raw": inner(value.value, ".value")}
        return marked("enum", name, **{"class": _path_of(kind, path)}, **more)
    if _is_named_tuple(kind):
        items = [inner(item, f"[{n}]") for n, item in enumerate(value)]
        return marked("namedtuple", items, **{"class": _path_of(kind, path)})
    if callable(getattr(kind, "serialize", None)) and callable(getattr(kind, "deserialize", None)):
        data = inner(value.serialize(), ".serialize()")
        return marked("object", data, **{"class": _path_of(kind, path)}, version=_version_of(kind))
    if hasattr(kind, "model_fields") and hasattr(kind, "model_validate"):
        return _model(value, kind, path, inner)
    for mark, names in (("dataclass", _dataclass_fields(kind)), ("attrs", _attrs_fields(kind))):
        if names is not None:
            fields = {name: inner(getattr(value, name), f".{name}") for name in names if hasattr(value, name)}
            return marked(mark, fields, **{"class": _path_of(kind, path)})
    return None


def _is_named_tuple(kind: type[Any]) -> bool:
    return hasattr(kind, "_fields") and issubclass(kind, tuple)


def _model(value: Any, kind: type[Any], path: str, inner: Inner) -> Marked:
    """A pydantic model: its fields as they are, so that what pydantic would flatten to JSON keeps its type."""
    fields: dict[str, object] = {**value.__dict__, **(getattr(value, "__pydantic_extra__", None) or {})}
    given = sorted(getattr(value, "model_fields_set", fields))
    data = {name: inner(item, f".{name}") for name, item in fields.items()}
    return marked("pydantic", data, **{"class": _path_of(kind, path)}, given=given)


def _version_of(kind: type[Any]) -> int:
    version: object = getattr(kind, "__version__", 1)
    return version if isinstance(version, int) else 1


def _dataclass_fields(kind: type[Any]) -> list[str] | None:
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else None


def _attrs_fields(kind: type[Any]) -> list[str] | None:
    fields: Any = getattr(kind, "__attrs_attrs__", None)
    return None if fields is None else [field.name for field in fields]


def _path_of(kind: type[Any], path: str) -> str:
    if "<locals>" in kind.__qualname__:
        raise XComError(
            f"{path} is of type {kind.__qualname__}, a class defined inside a function: it could not be found again "
            "when the value is read; define the class at the top of a module"
        )
    return f"{kind.__module__}:{kind.__qualname__}"


# ------------------------------------------------------------------------------- reading


def _class_of(mark: Marked) -> Any:
    """The class of a marked value. Raises XComError where it is not allowed, not found or not made for data."""
    module_name, _, qualname = str(mark["class"]).partition(":")
    _check_allowed(f"{module_name}.{qualname}")
    try:
        found: object = sys.modules.get(module_name) or importlib.import_module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as why:
        raise XComError(f"a stored value is of class {module_name}.{qualname}, which cannot be found: {why}") from why
    if not _is_for_data(found):
        raise XComError(f"a stored value names {module_name}.{qualname}, which is no class for stored values")
    return found


def _check_allowed(name: str) -> None:
    """Classes of DAG files are matched by `<file's name>.<class>`, too: their modules have private names."""
    allowed = current_defaults().xcom_allowed_classes
    plain = module_seen(name)
    if not allowed or name.startswith("tradewind.") or any(_matches(plain, pattern) for pattern in allowed):
        return
    raise XComError(
        f"a stored value is of class {plain}, which is not in the list of classes that may be read; add it (or a "
        f"pattern such as {plain.rpartition('.')[0]}.*) to core.allowed_deserialization_classes"
    )


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern)


def _is_for_data(found: object) -> bool:
    if not isinstance(found, type):
        return False
    makes_itself = callable(getattr(found, "serialize", None)) and callable(getattr(found, "deserialize", None))
    made_for_data = hasattr(found, "_fields") or hasattr(found, "model_validate") or issubclass(found, enum.Enum)
    attrs_class = hasattr(found, "__attrs_attrs__")
    return makes_itself or made_for_data or attrs_class or dataclasses.is_dataclass(cast("object", found))


def _read_fields(mark: Marked, read: Read) -> Any:
    """The object with its attributes set as they were; classes that have gained a field are called instead."""
    kind = _class_of(mark)
    values = cast("dict[str, Any]", read(mark["value"]))
    names = _dataclass_fields(kind) or _attrs_fields(kind) or []
    if set(names) - values.keys():
        return kind(**{name.lstrip("_"): item for name, item in values.items() if name in names})
    made = object.__new__(kind)
    for name in names:
        object.__setattr__(made, name, values[name])
    return made


def _read_model(mark: Marked, read: Read) -> Any:
    kind = _class_of(mark)
    values = read(mark["value"])
    return kind.model_construct(_fields_set=set(mark.get("given") or values), **values)


def _read_enum(mark: Marked, read: Read) -> Any:
    kind = _class_of(mark)
    return kind(read(mark["raw"])) if mark["value"] is None else kind[mark["value"]]


CLASS_READERS: Final[Mapping[str, Callable[[Marked, Read], Any]]] = {
    "enum": _read_enum,
    "namedtuple": lambda m, read: _class_of(m)(*read(m["value"])),
    "dataclass": _read_fields,
    "attrs": _read_fields,
    "pydantic": _read_model,
    "object": lambda m, read: _class_of(m).deserialize(read(m["value"]), m["version"]),
}
