"""StockSense: hourly page views from a web server through files into a real PostgreSQL."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tests.conftest import NewDatabase
from tests.spec.running_system import System, running_system

pytestmark = pytest.mark.blocks_the_loop

PAGES = {"Google": 451, "Amazon": 9, "Apple": 16, "Microsoft": 26}
"""Views in the first hour, one more in each that follows. Nobody looks at Facebook."""


class Dumps(http.server.BaseHTTPRequestHandler):
    """`/other/pageviews/2019/2019-07/pageviews-20190701-010000.gz` and so on."""

    asked: list[str]

    def do_GET(self) -> None:
        """Views of this hour, of other languages too."""
        self.asked.append(self.path)
        hour = int(self.path.rpartition("-")[2][:2])
        lines = [f"en {name} {views + hour} 0" for name, views in PAGES.items()]
        lines += ["en.m Google 7 0", "nl Facebook 5 0", "en Other 1 0", ""]
        body = gzip.compress("\n".join(lines).encode())
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def dumps() -> Iterator[tuple[str, list[str]]]:
    """The address of the server, and what it was asked for."""
    asked: list[str] = []
    handler = type("DumpsOfTest", (Dumps,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/other/pageviews", asked
    server.shutdown()
    server.server_close()
    thread.join()


OPERATOR = '''
import asyncio

import asyncpg
from airflow.hooks.base import BaseHook
from airflow.models import BaseOperator


class PostgresOperator(BaseOperator):
    """Executes a text or a file of SQL."""

    template_fields = ("sql",)
    template_ext = (".sql",)

    def __init__(self, *, sql, postgres_conn_id="postgres_default", **kwargs):
        super().__init__(**kwargs)
        self.sql = sql
        self.postgres_conn_id = postgres_conn_id

    def execute(self, context):
        asyncio.run(self.send(BaseHook.get_connection(self.postgres_conn_id)))

    async def send(self, known):
        place = {"host": known.host, "port": known.port, "user": known.login, "database": known.schema}
        connection = await asyncpg.connect(**place, password=known.password, ssl=False)
        try:
            await connection.execute(self.sql)
        finally:
            await connection.close()
'''

DAG_FILE = """
from datetime import datetime
from urllib import request

from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.python import PythonOperator
from postgres_operator import PostgresOperator


def _get_data(year, month, day, hour, output_path):
    url = (
        "WHERE/"
        f"{year}/{year}-{month:0>2}/pageviews-{year}{month:0>2}{day:0>2}-{hour:0>2}0000.gz"
    )
    request.urlretrieve(url, output_path)


def _fetch_pageviews(pagenames, execution_date):
    result = dict.fromkeys(pagenames, 0)
    with open("FOLDER/wikipageviews") as f:
        for line in f:
            domain_code, page_title, view_counts, _ = line.split(" ")
            if domain_code == "en" and page_title in pagenames:
                result[page_title] = view_counts
    with open("FOLDER/postgres_query.sql", "w") as f:
        for pagename, pageviewcount in result.items():
            f.write(f"INSERT INTO pageview_counts VALUES ('{pagename}', {pageviewcount}, '{execution_date}');\\n")


with DAG("stocksense", start_date=datetime.fromisoformat("START"), schedule_interval="@hourly",
         end_date=datetime.fromisoformat("END"), template_searchpath="FOLDER", max_active_runs=1,
         is_paused_upon_creation=False):
    get_data = PythonOperator(
        task_id="get_data",
        python_callable=_get_data,
        op_kwargs={
            "year": "{{ execution_date.year }}",
            "month": "{{ execution_date.month }}",
            "day": "{{ execution_date.day }}",
            "hour": "{{ execution_date.hour }}",
            "output_path": "FOLDER/wikipageviews.gz",
        },
    )
    extract_gz = BashOperator(task_id="extract_gz", bash_command="gunzip --force 'FOLDER/wikipageviews.gz'")
    fetch_pageviews = PythonOperator(
        task_id="fetch_pageviews",
        python_callable=_fetch_pageviews,
        op_kwargs={"pagenames": {"Google", "Amazon", "Apple", "Microsoft", "Facebook"}},
    )
    write_to_postgres = PostgresOperator(
        task_id="write_to_postgres", postgres_conn_id="my_postgres", sql="postgres_query.sql"
    )
    get_data >> extract_gz >> fetch_pageviews >> write_to_postgres

with DAG("chapter4_stocksense_bashoperator", start_date=datetime(2019, 7, 1), schedule_interval="@hourly",
         end_date=datetime(2019, 7, 1)):
    BashOperator(
        task_id="get_data",
        bash_command=(
            "curl -sSo 'FOLDER/{{ ts_nodash }}.gz' "
            "WHERE/{{ execution_date.year }}/"
            "{{ execution_date.year }}-{{ '{:02}'.format(execution_date.month) }}/"
            "pageviews-{{ execution_date.year }}{{ '{:02}'.format(execution_date.month) }}"
            "{{ '{:02}'.format(execution_date.day) }}-{{ '{:02}'.format(execution_date.hour) }}0000.gz"
        ),
    )
"""

MOST_POPULAR = """
SELECT x.pagename, x.hr AS "hour", x.average AS "average pageviews"
FROM (
  SELECT pagename, date_part('hour', datetime) AS hr, AVG(pageviewcount) AS average,
         ROW_NUMBER() OVER (PARTITION BY pagename ORDER BY AVG(pageviewcount) DESC)
  FROM pageview_counts GROUP BY pagename, hr
) AS x
WHERE row_number = 1 ORDER BY 1
"""


async def with_results(system: System, url: str) -> asyncpg.Connection[asyncpg.Record]:
    """The table, and the connection `my_postgres` added as the source does it."""
    connection = await asyncpg.connect(url)
    columns = "pagename VARCHAR(50) NOT NULL, pageviewcount INT NOT NULL, datetime TIMESTAMP NOT NULL"
    await connection.execute(f"CREATE TABLE pageview_counts ({columns})")
    place = urlsplit(url)
    host = place.hostname or parse_qs(place.query)["host"][0]
    await system.tradewind(
        *("connections", "add", "--conn-type", "postgres", "--conn-host", host),
        *("--conn-port", str(place.port or 5432), "--conn-login", str(place.username)),
        *("--conn-password", place.password or "", "--conn-schema", place.path.strip("/"), "my_postgres"),
    )
    return connection


@pytest.mark.spec("1:UC-E", "1:15:Wikimedia pageview dumps", "1:15:PostgreSQL", "1:15:Connections")
async def test_page_views_of_three_hours(
    tmp_path: Path, new_database: NewDatabase, dumps: tuple[str, list[str]]
) -> None:
    where, asked = dumps
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=back) for back in (3, 2, 1)]
    folder = tmp_path / "files"
    folder.mkdir()
    async with running_system(tmp_path, await new_database()) as system:
        connection = await with_results(system, await new_database())
        system.write(OPERATOR, "postgres_operator.py")
        text = DAG_FILE.replace("WHERE", where).replace("FOLDER", str(folder))
        system.write(text.replace("START", hours[0].isoformat()).replace("END", hours[-1].isoformat()), "stocksense.py")
        await system.knows("stocksense", "chapter4_stocksense_bashoperator")
        runs = await system.ended("stocksense", 3)
        assert [await system.states(run) for run in runs] == [
            dict.fromkeys(("get_data", "extract_gz", "fetch_pageviews", "write_to_postgres"), "success")
        ] * 3
        assert asked == [hour.strftime("/other/pageviews/%Y/%Y-%m/pageviews-%Y%m%d-%H0000.gz") for hour in hours]
        rows = await connection.fetch("SELECT * FROM pageview_counts ORDER BY datetime, pagename")
        assert [tuple(row) for row in rows] == [
            (name, views + hour.hour if views else 0, hour.replace(tzinfo=None))
            for hour in hours
            for name, views in sorted({**PAGES, "Facebook": 0}.items())
        ]
        written = (folder / "postgres_query.sql").read_text()
        assert f", '{hours[-1]}');" in written, "as text a moment has a space since Pendulum 3; isoformat() has the T"
        popular = {row[0]: (row[1], float(row[2])) for row in await connection.fetch(MOST_POPULAR)}
        latest = max(hours, key=lambda hour: hour.hour).hour
        assert {name: popular[name] for name in PAGES} == {
            name: (latest, views + latest) for name, views in PAGES.items()
        }
        await connection.close()
        shown = await system.tradewind("tasks", "render", "stocksense", "get_data", "2019-07-19T00:00:00")
        assert "'month': '7'" in shown
        assert "'hour': '0'" in shown
        run = await system.run("chapter4_stocksense_bashoperator", logical_date=datetime(2019, 7, 1, 1, tzinfo=UTC))
        assert run.state.value == "success"
        assert "/other/pageviews/2019/2019-07/pageviews-20190701-010000.gz" in asked
        assert gzip.decompress((folder / "20190701T010000.gz").read_bytes()).startswith(b"en Google 452 0\n")
