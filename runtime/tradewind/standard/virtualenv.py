"""Tasks whose function runs in another interpreter: of a virtual environment made for it, or one that is there."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, TypedDict, Unpack, cast

from tradewind.authoring.attempt_environment import attempt_environment
from tradewind.authoring.dag_arguments import texts_needed
from tradewind.authoring.operator import OutcomeForm
from tradewind.authoring.python_call import call_arguments
from tradewind.authoring.variable import Variable
from tradewind.model.errors import AuthoringError, NotFoundError, SkipTask, TaskFailed
from tradewind.standard import virtualenv_child
from tradewind.standard.child_process import ChildProcess, exit_codes, signal_name
from tradewind.standard.portable_call import dumped, portable, serializer_module, serializer_of, source_of
from tradewind.standard.python import PythonArguments, PythonOperator, is_async_callable
from tradewind.standard.venv_building import VenvBuilder, VenvPlan

_PROBE: Final = (
    "import importlib.util as u, json, sys; "
    "print(json.dumps([list(sys.version_info[:2]), [n for n in sys.argv[1:] if u.find_spec(n)]]))"
)


class OtherInterpreterSettings(TypedDict, total=False):
    """Arguments of every operator that runs its function in another interpreter."""

    serializer: str | None
    use_dill: bool
    string_args: Iterable[str] | None
    expect_airflow: bool
    expect_pendulum: bool
    skip_on_exit_code: int | Collection[int] | None
    env_vars: Mapping[str, str] | None
    inherit_env: bool


class OtherInterpreterArguments(OtherInterpreterSettings, PythonArguments, total=False):
    """These and those of `PythonOperator`."""


class OtherInterpreterOperator(PythonOperator, ABC):
    """Runs the function in another interpreter: its source travels, its arguments and result as pickles.

    So it sees nothing of its module: it imports what it needs inside. Of the context it can get
    texts, dates and params, by the names of its parameters. What it prints is in the task's log. Exit
    codes in `skip_on_exit_code` skip the task. `env_vars` are added to the environment, or are all of
    it with `inherit_env=False`. `string_args` are a list called `virtualenv_string_args` there.
    """

    own_arguments: ClassVar[frozenset[str]] = frozenset(OtherInterpreterSettings.__annotations__)

    def __init__(self, *, python_callable: Callable[..., Any], **arguments: Unpack[OtherInterpreterArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in OtherInterpreterSettings.__annotations__.keys() & given.keys()}
        super().__init__(python_callable=python_callable, **given)
        where = self.where
        function: object = python_callable
        if not inspect.isfunction(function) or function.__name__ == "<lambda>":
            raise AuthoringError(f"{where} only supports functions for python_callable arg, not {function!r}")
        if is_async_callable(python_callable) or inspect.isgeneratorfunction(function):
            raise AuthoringError(f"{where}: the function has to be a plain one; another interpreter has no loop for it")
        self.serializer = serializer_of(own, where)
        self.string_args = [str(item) for item in own.get("string_args") or ()]
        self.expect_airflow: bool = own.get("expect_airflow", True)
        self.expect_pendulum: bool = own.get("expect_pendulum", True)
        self.skip_on_exit_code = exit_codes(own.get("skip_on_exit_code"), where)
        self.env_vars: Mapping[str, str] | None = own.get("env_vars")
        self.inherit_env: bool = own.get("inherit_env", True)
        self._child: ChildProcess | None = None

    @property
    def where(self) -> str:
        """The task in messages."""
        return f"{self.operator_name or type(self).__name__} {self.task_id!r}"

    @property
    def is_async(self) -> bool:
        """It never is."""
        return False

    @abstractmethod
    def interpreter(self, child: ChildProcess) -> Any:
        """A context manager that gives the path of the interpreter; `child` runs what it takes to make it."""

    def execute(self, context: Any) -> Any:
        """Runs the function there. Raises TaskFailed, SkipTask."""
        child = self._child = ChildProcess(self.where, self.log)
        with self.interpreter(child) as python, tempfile.TemporaryDirectory(prefix="tradewind_venv_") as folder:
            return self._run(child, Path(python), Path(folder), context)

    def on_kill(self) -> None:
        """Ends the other interpreter and all that it started."""
        if self._child is not None:
            self._child.end()

    def _run(self, child: ChildProcess, python: Path, folder: Path, context: Mapping[str, Any]) -> Any:
        version, modules = self._probe(python)
        if self.serializer not in ("pickle", *modules):
            raise TaskFailed(f"{self.where}: serializer {self.serializer!r} is not installed in {python}")
        serializer = serializer_module(self.serializer, self.where)
        source = source_of(self.python_callable, self.where)
        args, kwargs = self._call(context, with_pendulum="pendulum" in modules)
        protocol = pickle.HIGHEST_PROTOCOL if version >= (3, 8) else 4
        (folder / "input").write_bytes(dumped(serializer, (args, kwargs), protocol, self.where))
        order = {
            "function": source.name,
            "source": source.text,
            "file": source.file,
            "line": source.line,
            "serializer": self.serializer,
            "string_args": self.string_args,
        }
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        script = folder / "script.py"
        script.write_text(inspect.getsource(virtualenv_child), encoding="utf-8")
        command = [str(python), "-u", str(script), str(folder)]
        code, _ = child.run(command, environment=self._environment(context), encoding="utf-8")
        return self._result(code, folder, serializer)

    def _probe(self, python: Path) -> tuple[tuple[int, ...], list[str]]:
        """Version of the interpreter, and which modules of ours it has."""
        lines: list[str] = []
        prober = self._child or ChildProcess(self.where, self.log)
        command = [str(python), "-c", _PROBE, "pendulum", "cloudpickle", "dill"]
        code, last = prober.run(command, on_line=lines.append)
        if code:
            raise TaskFailed(f"{self.where}: {python} does not work (exit code {code}):\n" + "\n".join(lines[-15:]))
        version, modules = json.loads(last)
        return tuple(version), modules

    def _call(self, context: Mapping[str, Any], *, with_pendulum: bool) -> tuple[list[Any], dict[str, Any]]:
        offered = portable(context, with_pendulum=with_pendulum)
        if self.templates_dict is not None:
            offered["templates_dict"] = self.templates_dict
        try:
            return call_arguments(self.python_callable, list(self.op_args), self.op_kwargs, offered)
        except TypeError as why:
            raise TaskFailed(f"{self.where}: {why} that can be handed to another interpreter") from why

    def _environment(self, context: Mapping[str, Any]) -> dict[str, str]:
        environment = dict(os.environ) if self.inherit_env else {}
        environment.update(attempt_environment(context))
        environment.update({name: str(value) for name, value in (self.env_vars or {}).items()})
        return environment

    def _result(self, code: int, folder: Path, serializer: Any) -> Any:
        if code in self.skip_on_exit_code:
            raise SkipTask(f"Process exited with code {code}. Skipping.")
        told = folder / "error.json"
        if told.is_file():
            _raise_told(json.loads(told.read_text(encoding="utf-8")), code, self.where)
        if code < 0:
            raise TaskFailed(f"{self.where}: the process was ended by signal {signal_name(code)}")
        output = folder / "output"
        if code or not output.is_file():
            raise TaskFailed(f"{self.where}: Process returned non-zero exit status {code}.")
        try:
            return serializer.loads(output.read_bytes())
        except Exception as why:
            raise TaskFailed(f"{self.where}: the result cannot be read here: {type(why).__name__}: {why}") from why


class VirtualenvSettings(TypedDict, total=False):
    """What is in the environment."""

    requirements: Iterable[str] | str | None
    python_version: str | float | None
    system_site_packages: bool
    pip_install_options: Sequence[str] | None
    index_urls: Collection[str] | str | None
    venv_cache_path: str | os.PathLike[str] | None


class VirtualenvArguments(VirtualenvSettings, OtherInterpreterArguments, total=False):
    """All arguments of `PythonVirtualenvOperator` beside the function."""


class PythonVirtualenvOperator(OtherInterpreterOperator):
    """Runs the function in a virtual environment that is made for it, with `requirements`.

    `requirements` is a list, or a text as in a requirements file; a text that ends in `.txt` names a
    template file. With `system_site_packages` (the default) the packages of the worker are there
    too. The environment is thrown away afterwards, or kept in `venv_cache_path` and shared by all
    tasks and tries that want the same. `index_urls` of `[]` means no index. uv makes it where uv is
    installed, else venv and pip. The variable `PythonVirtualenvOperator.cache_key`, where set, is part of
    what has to be the same.
    """

    template_fields: Sequence[str] = (
        *PythonOperator.template_fields,
        *("requirements", "index_urls", "venv_cache_path"),
    )
    template_ext: Sequence[str] = (".txt",)
    own_arguments: ClassVar[frozenset[str]] = frozenset(VirtualenvSettings.__annotations__)

    def __init__(self, *, python_callable: Callable[..., Any], **arguments: Unpack[VirtualenvArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        own = {name: given.pop(name) for name in VirtualenvSettings.__annotations__.keys() & given.keys()}
        super().__init__(python_callable=python_callable, **given)
        wanted = own.get("requirements")
        texts_needed(wanted or (), f"{type(self).__name__} {self.task_id!r}: requirements")
        self.requirements: Any = wanted if wanted is None or isinstance(wanted, str) else list(wanted)
        version = own.get("python_version")
        self.python_version = None if version is None else str(version)
        self.system_site_packages: bool = own.get("system_site_packages", True)
        self.pip_install_options = list(own.get("pip_install_options") or ())
        urls = own.get("index_urls")
        self.index_urls: Any = urls if urls is None or isinstance(urls, str) else list(urls)
        self.venv_cache_path: Any = own.get("venv_cache_path")
        if self.requirements is None and not self.system_site_packages and self.serializer != "pickle":
            self.requirements = [self.serializer]

    @contextmanager
    def interpreter(self, child: ChildProcess) -> Generator[Path]:
        """Makes the environment, or finds the kept one."""
        builder = VenvBuilder(self.where, child)
        plan = self.plan()
        if self.venv_cache_path:
            with builder.kept(Path(self.venv_cache_path), plan) as python:
                yield python
            return
        with tempfile.TemporaryDirectory(prefix="tradewind_venv_") as folder:
            yield builder.build(Path(folder, "venv"), plan)

    def plan(self) -> VenvPlan:
        """What the environment has to hold. Raises TaskFailed for requirements that are no texts."""
        listed: Any = self.requirements or ()
        lines = listed.splitlines() if isinstance(listed, str) else list(listed)
        if not all(isinstance(line, str) for line in lines):
            raise TaskFailed(f"{self.where}: requirements are texts such as 'pandas==2.2', not {listed!r}")
        wanted = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if self.serializer != "pickle" and not any(line.lower().startswith(self.serializer) for line in wanted):
            wanted.append(self.serializer)
        urls: Any = (self.index_urls,) if isinstance(self.index_urls, str) else self.index_urls
        return VenvPlan(
            tuple(wanted),
            self.python_version,
            self.system_site_packages,
            tuple(self.pip_install_options),
            None if urls is None else tuple(urls),
            _cache_key() if self.venv_cache_path else "",
        )


class BranchPythonVirtualenvOperator(PythonVirtualenvOperator):
    """`PythonVirtualenvOperator` whose result names the tasks to go on with."""

    outcome_kind: ClassVar[OutcomeForm] = "branch"


class ExternalPythonOperator(OtherInterpreterOperator):
    """Runs the function with the interpreter at `python`, which is not changed."""

    template_fields: Sequence[str] = ("python", *PythonOperator.template_fields)

    def __init__(
        self, *, python: str, python_callable: Callable[..., Any], **arguments: Unpack[OtherInterpreterArguments]
    ) -> None:
        if not python:
            raise AuthoringError("Python Path must be defined in ExternalPythonOperator")
        super().__init__(python_callable=python_callable, **arguments)
        self.python = python

    @contextmanager
    def interpreter(self, child: ChildProcess) -> Generator[Path]:
        """The interpreter, if it is one. Raises TaskFailed."""
        path = Path(self.python)
        if not path.exists():
            raise TaskFailed(f"{self.where}: Python Path '{path}' must exists")
        if not path.is_file() or not os.access(path, os.X_OK):
            raise TaskFailed(f"{self.where}: Python Path '{path}' must be an executable file")
        yield path


class BranchExternalPythonOperator(ExternalPythonOperator):
    """`ExternalPythonOperator` whose result names the tasks to go on with."""

    outcome_kind: ClassVar[OutcomeForm] = "branch"


def _raise_told(told: Mapping[str, str], code: int, where: str) -> None:
    if told["kind"] in ("AirflowSkipException", "SkipTask"):
        raise SkipTask(told["message"])
    about = f"{told['what']}: " if told["what"] else ""
    raise TaskFailed(
        f"{where}: Process returned non-zero exit status {code}.\n"
        f"{about}{told['kind']}: {told['message']}\n{told['traceback']}"
    )


def _cache_key() -> str:
    try:
        return str(Variable.get("PythonVirtualenvOperator.cache_key", default_var=""))
    except (NotFoundError, AuthoringError, KeyError):
        return ""
