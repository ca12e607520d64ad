"""Operators, notifier and hook of the slack package, against a web server that plays Slack's API and webhooks.

Slack itself is not asked: what is proved is that the package's own client sends what it should, from our tasks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.providers_official.conftest import connection
from tests.providers_official.environments import Environment
from tests.providers_official.web_server import Asked, Said, web_server

pytestmark = pytest.mark.provider_packages


def slack(asked: Asked) -> Said:
    if asked.path.startswith("/hook/"):
        return Said("ok")
    if asked.path == "/upload":
        return Said("OK")
    if asked.headers.get("authorization") != "Bearer xoxb-1":
        return Said({"ok": False, "error": "not_authed"})
    match asked.path.removeprefix("/api/"):
        case "chat.postMessage" if asked.fields["channel"] == "#nowhere":
            return Said({"ok": False, "error": "channel_not_found"})
        case "files.getUploadURLExternal":
            return Said({"ok": True, "upload_url": f"http://{asked.headers['host']}/upload", "file_id": "F1"})
        case "files.completeUploadExternal":
            return Said({"ok": True, "files": [{"id": "F1", "title": "Orders"}]})
        case "auth.test":
            return Said({"ok": True, "team": "Launches", "user": "bot", "url": "x", "team_id": "T", "user_id": "U"})
        case _:
            return Said({"ok": True, "ts": "1.2"})


@pytest.mark.spec("1:C9")
def test_slack(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("one\ntwo\n")
    with web_server(slack) as server:
        done = environment.try_dag(
            "with_slack",
            "slack_dags.py",
            AIRFLOW_CONN_CHAT=connection("slack", {"base_url": f"{server.url}/api/"}, password="xoxb-1"),
            AIRFLOW_CONN_INCOMING=connection("slackwebhook", host=server.url, password="hook/T/B/X"),
            AIRFLOW_CONN_DB=connection("sqlite", host=str(tmp_path / "launches.db")),
            AIRFLOW_VAR_FOLDER=str(tmp_path),
        )
    assert done.errors == {"refused": "SlackApiError"}, done.log
    assert {task_id for task_id, state in done.states.items() if state != "success"} == {"refused"}
    posted = [asked.fields for asked in server.asked_at("/api/chat.postMessage")]
    assert [(post["channel"], post["text"]) for post in posted] == [
        ("#launches", "2026-01-05: R1 flies"),
        ("#told", "post is done"),
        ("#nowhere", "x"),
    ]
    assert '"*R1*"' in posted[0]["blocks"]
    assert [asked.body for asked in server.asked_at("/upload")] == ["one\ntwo\n"]
    texts = [asked.fields["text"] for asked in server.asked_at("/hook/T/B/X")]
    assert "2026-01-05: said by a webhook" in texts
    assert ["rocket", "kg", "0", "R1", "12"] in [text.split() for text in texts]
    assert done.xcoms["by_hook"] == {"team": "Launches", "tested": True}
    assert "xoxb-1" not in done.log
