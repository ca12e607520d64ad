"""What installed provider packages say of themselves is used."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tradewind import DAG, Asset, AssetWatcher, AuthoringError, EmptyOperator
from tradewind.authoring import provider_packages
from tradewind.authoring.connection import Connection
from tradewind.authoring.hook import hook_of
from tradewind.bundles.loader import serve_airflow_names
from tradewind.compat import install, uninstall
from tradewind.compat.helping import determine_kwargs, exactly_one, merge_dicts, prune_dict
from tradewind.model.errors import NotFoundError
from tradewind.standard.message_queue_trigger import MessageQueueTrigger

INFO = """
def get_provider_info():
    return {
        "package-name": "apache-airflow-providers-acme",
        "connection-types": [
            {"connection-type": "acme", "hook-class-name": "airflow.providers.acme.hooks.AcmeHook"},
        ],
        "queues": ["airflow.providers.acme.queues.AcmeQueue"],
        "dialects": [{"dialect-type": "acme", "dialect-class-name": "airflow.providers.acme.hooks.Dialect"}],
    }
"""
QUEUES = """
from airflow.providers.common.messaging.providers.base_provider import BaseMessageQueueProvider
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

class AcmeTrigger(BaseEventTrigger):
    def __init__(self, queue, pace=1):
        super().__init__()
        self.queue, self.pace = queue, pace

    def serialize(self):
        return "airflow.providers.acme.queues.AcmeTrigger", {"queue": self.queue, "pace": self.pace}

    async def run(self):
        yield TriggerEvent(self.queue)

class AcmeQueue(BaseMessageQueueProvider):
    scheme = "acme"

    def queue_matches(self, queue):
        return queue.startswith("acme://")

    def trigger_class(self):
        return AcmeTrigger

    def trigger_kwargs(self, queue, **kwargs):
        return {"queue": queue.removeprefix("acme://")}
"""
HOOKS = """
from airflow.hooks.base import BaseHook

class AcmeHook(BaseHook):
    conn_name_attr = "acme_conn_id"

    def __init__(self, acme_conn_id, loud=False):
        super().__init__()
        self.acme_conn_id, self.loud = acme_conn_id, loud
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    package = tmp_path / "airflow" / "providers" / "acme"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "get_provider_info.py").write_text(INFO)
    (package / "hooks.py").write_text(HOOKS)
    (package / "queues.py").write_text(QUEUES)
    meta = tmp_path / "apache_airflow_providers_acme-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: apache-airflow-providers-acme\nVersion: 1.0\n")
    entry = "provider_info=airflow.providers.acme.get_provider_info:get_provider_info"
    (meta / "entry_points.txt").write_text(f"[apache_airflow_provider]\n{entry}\n")
    uninstall()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    provider_packages.descriptions.cache_clear()
    assert install()
    yield
    provider_packages.descriptions.cache_clear()
    for name in [name for name in sys.modules if name.startswith("airflow.providers.acme")]:
        del sys.modules[name]
    uninstall()
    serve_airflow_names.cache_clear()


@pytest.mark.usefixtures("acme")
def test_hooks_and_dialects_of_a_package() -> None:
    hook = hook_of(Connection(conn_id="mine", conn_type="acme"), {"loud": True})
    assert (type(hook).__name__, vars(hook)["acme_conn_id"], vars(hook)["loud"]) == ("AcmeHook", "mine", True)
    manager = importlib.import_module("airflow.providers_manager").ProvidersManager()
    assert manager.dialects["acme"].provider_name == "apache-airflow-providers-acme"
    assert "apache-airflow-providers-acme" in manager.providers
    with pytest.raises(NotFoundError, match="no installed package has a hook for connections of type 'nobody'"):
        hook_of(Connection(conn_id="mine", conn_type="nobody"))


def test_functions_that_packages_use() -> None:
    assert prune_dict({"a": None, "b": {"c": None, "d": [1, None]}}) == {"b": {"d": [1]}}
    assert prune_dict({"a": 0, "b": "x"}, mode="truthy") == {"b": "x"}
    assert merge_dicts({"a": {"x": 1}, "b": 1}, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}, "b": 1}
    assert [exactly_one(1, 0), exactly_one(1, 1)] == [True, False]

    def two(first: int, second: int) -> None: ...

    def all_of_them(**given: int) -> None: ...

    assert determine_kwargs(two, [1], {"second": 2, "third": 3}) == {"second": 2}
    assert determine_kwargs(all_of_them, [], {"a": 1}) == {"a": 1}


@pytest.mark.usefixtures("acme")
def test_a_queue_by_its_scheme_or_address() -> None:
    """The trigger that its package has stands in the DAG, and is what runs."""
    module = importlib.import_module("airflow.providers.common.messaging.triggers.msg_queue")
    made = module.MessageQueueTrigger
    by_scheme, by_address = made(scheme="acme", queue="a", pace=2), made(queue="acme://a", pace=2)
    said = ("airflow.providers.acme.queues.AcmeTrigger", {"queue": "a", "pace": 2})
    assert by_scheme.serialize() == by_address.serialize() == said

    async def fired() -> list[object]:
        return [event.payload async for event in by_scheme.run()]

    assert asyncio.run(fired()) == ["a"]
    with DAG("d", schedule=[Asset("orders", watchers=[AssetWatcher("w", by_scheme)])], catchup=False) as dag:
        EmptyOperator(task_id="t")
    (watcher,) = dag.to_spec().watchers
    assert watcher.kind == "airflow.providers.acme.queues.AcmeTrigger"


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "give a scheme"),
        (
            {"scheme": "pigeon"},
            "no package that is installed knows the scheme 'pigeon'; known are: acme, amqp",
        ),
        ({"queue": "pigeon://a"}, "no package that is installed knows the queue 'pigeon://a'; give a scheme"),
        ({"scheme": "acme", "speed": 1}, "scheme 'acme': AcmeTrigger: .*unexpected keyword argument 'speed'"),
    ],
)
def test_queues_that_cannot_be(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(AuthoringError, match=said):
        MessageQueueTrigger(**wrong).serialize()  # type: ignore[arg-type]  # what is refused
