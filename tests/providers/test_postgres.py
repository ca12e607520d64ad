# pyright: reportUnusedExpression=false
"""PostgreSQL tasks on a real server, on a real runtime and alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest

from tests.providers.conftest import StartRuntime, ended, log_of, states_of, store, value_of
from tests.served_airflow import served_airflow
from tradewind import DAG, BaseOperator, Connection, task
from tradewind.authoring.hook import hook_of
from tradewind.authoring.loop_clients import clients_here, hold_clients
from tradewind.model.errors import AuthoringError, ClientError, TradewindError
from tradewind_providers.postgres import PostgresHook, PostgresOperator, postgres
from tradewind_providers.postgres.settings import PostgresConnectionError, PostgresSettings
from tradewind_providers.sql.operators import SQLExecuteQueryOperator

pytestmark = pytest.mark.blocks_the_loop  # the sync faces have loops of their own, in threads


# ------------------------------------------------------------------------------------------ hook


async def test_the_hook_as_airflow_s_users_know_it(known: Connection) -> None:
    def use() -> None:
        hook = PostgresHook(postgres_conn_id="db")
        hook.run(["create table t (n int, word text)", "insert into t values (1, 'one'), (2, 'two')"])
        assert PostgresHook().get_first("SELECT COUNT(*) FROM t")[0] == 2
        assert hook.get_records("select * from t order by n") == [(1, "one"), (2, "two")]
        assert hook.get_first("select * from t where n = 7") is None
        assert hook.get_records("select n from t where word = %s", parameters=("two",)) == [(2,)]
        assert hook.get_records("select n from t where word like '%w%'") == [(2,)]
        with pytest.raises(asyncpg.UndefinedTableError):
            hook.run(["insert into t values (3, 'three')", "insert into nowhere values (1)"])
        assert hook.get_first("select count(*) from t") == (2,), "all of a run is one transaction"
        with pytest.raises(asyncpg.UndefinedTableError):
            hook.run(["insert into t values (3, 'three')", "insert into nowhere values (1)"], autocommit=True)
        assert hook.get_first("select count(*) from t") == (3,)
        hook.run("vacuum t", autocommit=True)
        worked, said = hook.test_connection()
        assert (worked, said[:42]) == (True, "Connection successfully tested: PostgreSQL")
        assert hook.get_uri().startswith("postgresql://")

    await asyncio.to_thread(use)
    with pytest.raises(RuntimeError, match="run_async"):
        PostgresHook("db").run("select 1")
    made = hook_of(known)
    assert (type(made), made.postgres_conn_id) == (PostgresHook, "db")  # type: ignore[attr-defined]


@pytest.mark.spec("3:12c:airflow.providers.postgres.hooks.postgres.PostgresHook")
@pytest.mark.parametrize("path", ["airflow.providers.postgres.hooks.postgres", "airflow.hooks.postgres_hook"])
def test_its_names_in_airflow(path: str) -> None:
    names: dict[str, Any] = {}
    with served_airflow():
        exec(f"from {path} import PostgresHook\nfrom airflow.hooks.dbapi import DbApiHook", names)
    assert names["PostgresHook"] is PostgresHook
    assert issubclass(PostgresHook, names["DbApiHook"])


@pytest.mark.spec("2:T-27")
async def test_a_replaced_get_connection_is_used(db: Connection) -> None:
    """In memory, with a port that is a number; without a database that of the login."""
    bare = Connection("postgres", host=db.host, login=db.login, password=db.password, port=db.port)
    with patch.object(PostgresHook, "get_connection", return_value=bare) as asked:
        found = await asyncio.to_thread(PostgresHook("elsewhere").get_first, "select current_database(), 1")
        assert found == (db.login, 1)
        asked.assert_called_once_with("elsewhere")
        async with hold_clients():
            assert await PostgresHook("elsewhere").fetch_first("select current_database()") == (db.login,)
            assert await PostgresHook("elsewhere", database=db.schema).fetch_first("select current_database()") == (
                db.schema,
            )


@pytest.mark.usefixtures("known")
async def test_handlers_and_lists_of_results() -> None:
    def use() -> None:
        hook = PostgresHook("db")

        def numbers(cursor: Any) -> list[int]:
            assert cursor.rowcount == 3
            return [cursor.fetchone()[0], *(row[0] for row in cursor.fetchmany(1)), *(row[0] for row in cursor)]

        assert hook.run("select generate_series(1, 3)", handler=numbers) == [1, 2, 3]
        both = "select 1 as a; select 2 as b"
        assert hook.get_records(both) == [(2,)]
        assert hook.run(both, handler=lambda c: c.fetchall(), split_statements=True) == [(2,)]
        assert hook.run(both, handler=lambda c: c.fetchall(), split_statements=True, return_last=False) == [
            [(1,)],
            [(2,)],
        ]
        assert [description[0].name for description in hook.descriptions] == ["a", "b"]
        assert hook.get_records(["select 1", "select 2"]) == [[(1,)], [(2,)]]
        assert hook.get_records("create table x (n int)") is None
        assert hook.run("insert into x values (1), (2)", handler=lambda c: (c.rowcount, c.description)) == (2, None)
        with pytest.raises(ValueError, match="List of SQL statements is empty"):
            hook.run([])
        frame = hook.get_df("select n, n * 2 as twice from x order by n")
        assert frame.to_dict("list") == {"n": [1, 2], "twice": [2, 4]}
        with pytest.raises(ValueError, match="'pandas' or 'polars'"):
            hook.get_df("select 1", df_type="other")

    await asyncio.to_thread(use)


@pytest.mark.usefixtures("known")
async def test_values_go_in_and_out() -> None:
    """As literals, so that a text fits wherever the server can make something of it."""
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    values = {
        "text": 'it\'s 100 % \\ "so"',
        "none": None,
        "day": date(2026, 1, 31),
        "at": at,
        "list": [1, -2],
        "bytes": b"\x00\xff",
        "json": {"a": [1, None]},
        "for": timedelta(days=1, seconds=2),
    }
    sql = (
        "select %(text)s, %(none)s::int, %(day)s, %(at)s, %(list)s, %(bytes)s, %(json)s::jsonb, %(for)s, "
        "'2026-01-31'::date = %(text_day)s, 7 %% 4 - %(minus)s"
    )
    async with hold_clients():
        hook = PostgresHook("db")
        row = await hook.fetch_first(sql, {**values, "text_day": "2026-01-31", "minus": -1})
        assert list(row) == [*values.values(), True, 4]
        rows = await hook.fetch_records("select n from generate_series(1, 5) n where n in %s", [(2, 4)])
        assert rows == [(2,), (4,)]
        assert await hook.fetch_records("select 1 where 1 in %s", ((),)) == []
        assert (await hook.fetch_df("select 1 as one")).to_dict("list") == {"one": [1]}
        with pytest.raises(ValueError, match="more %s than there are parameters"):
            await hook.fetch_first("select %s, %s", (1,))


@pytest.mark.usefixtures("known")
async def test_rows_go_in_and_replace_others(tmp_path: Path) -> None:
    def use() -> None:
        hook = PostgresHook("db")
        hook.run("create table t (id int primary key, word text); create table free (a text, b text)")
        hook.insert_rows("t", ((n, f"w{n}") for n in range(2500)), target_fields=["id", "word"], commit_every=1000)
        assert hook.get_first("select count(*), max(word) from t") == (2500, "w999")
        rows = [(1, "new"), (3000, "more")]
        hook.insert_rows("t", rows, target_fields=["id", "word"], replace=True, replace_index="id", executemany=True)
        assert hook.get_first("select count(*) filter (where word = 'new'), count(*) from t") == (1, 2501)
        hook.insert_rows("t", [(1,)], target_fields=["id"], replace=True, replace_index=["id"])
        hook.insert_rows("free", [])
        with pytest.raises(ValueError, match="requires column names"):
            hook.insert_rows("t", rows, replace=True)
        with pytest.raises(ValueError, match="requires an unique index"):
            hook.insert_rows("t", rows, ["id", "word"], replace=True)
        with pytest.raises(asyncpg.UniqueViolationError):
            hook.insert_rows("t", [(5000, "a"), (1, "b")], ["id", "word"], commit_every=0)
        assert hook.get_first("select count(*) from t where id = 5000") == (0,)
        file = tmp_path / "lines"
        file.write_text("x\ty\nz\t\\N\n")
        hook.bulk_load("free", str(file))
        assert hook.get_records("select * from free order by a") == [("x", "y"), ("z", None)]
        hook.bulk_dump("free", str(file))
        assert file.read_text() == "x\ty\nz\t\\N\n"
        hook.copy_expert("COPY (select a from free order by a) TO STDOUT WITH CSV HEADER", tmp_path / "new.csv")
        assert (tmp_path / "new.csv").read_text() == "a\nx\nz\n"
        hook.copy_expert("copy free (a) from stdin with csv header", str(tmp_path / "new.csv"))
        assert hook.get_first("select count(*) from free") == (4,)
        assert (hook.get_table_primary_key("t"), hook.get_table_primary_key("free")) == (["id"], None)

    await asyncio.to_thread(use)


@pytest.mark.usefixtures("known")
async def test_a_connection_of_psycopg(monkeypatch: pytest.MonkeyPatch) -> None:
    def use() -> None:
        hook = PostgresHook("db", options="-c statement_timeout=1234ms")
        with hook.get_conn() as connection, connection.cursor() as cursor:
            cursor.execute("show statement_timeout")
            assert cursor.fetchone() == ("1234ms",)
        connection.close()
        with hook.get_cursor() as cursor:
            assert cursor.execute("select %s", (5,)).fetchone() == (5,)
            cursor.connection.close()
        assert hook.get_first("show statement_timeout") == ("1234ms",)

        def nothing(_: str) -> None: ...

        monkeypatch.setattr("importlib.util.find_spec", nothing)
        with pytest.raises(TradewindError, match=r"install tradewind\[postgres\]"):
            hook.get_conn()

    await asyncio.to_thread(use)


@pytest.mark.usefixtures("known")
async def test_what_the_server_says_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with hold_clients():
        hook = PostgresHook("db", enable_log_db_messages=True)
        with caplog.at_level("INFO"):
            await hook.run_async("do $$ begin raise notice 'half; way'; end $$; select 1")
    assert "NOTICE: half; way" in caplog.text
    assert "Running statement" in caplog.text


def test_what_a_connection_says(tmp_path: Path) -> None:
    def settings(extra: Any = None, **fields: Any) -> PostgresSettings:
        return PostgresSettings.of(Connection("c", "postgres", extra=extra, **fields))

    assert (settings().host, settings().port, settings().sslmode) == ("localhost", 5432, "disable")
    assert settings(host="db.example.com").for_asyncpg()["ssl"] == "prefer"
    given = settings({"options": "-c a.b=1 --search_path=x,y -cz=2", "application_name": "me", "pool_size": "3"})
    assert (dict(given.settings), given.pool_size) == (
        {"a.b": "1", "search_path": "x,y", "z": "2", "application_name": "me"},
        3,
    )
    assert given.for_psycopg()["options"].startswith("-c a.b=1 -c search_path=x,y")
    secure = settings({"sslmode": "require"}, host="h").for_asyncpg()["ssl"]
    assert (secure.check_hostname, secure.verify_mode.name) == (False, "CERT_NONE")
    checked = settings({"sslmode": "verify-full", "sslrootcert": "system"}, host="h").for_asyncpg()["ssl"]
    assert (checked.check_hostname, checked.verify_mode.name) == (True, "CERT_REQUIRED")
    with pytest.raises(OSError, match="No such file"):
        settings({"sslmode": "verify-ca", "sslrootcert": str(tmp_path / "no")}, host="h").for_asyncpg()
    for bad, message in (
        ({"sslmode": "on"}, "sslmode 'on' is none of"),
        ({"options": "fast"}, "options 'fast' cannot be read"),
        ({"pool_size": "many"}, "pool_size must be a number above 0"),
        ("[1]", "must be a JSON object"),
    ):
        with pytest.raises(PostgresConnectionError, match=message):
            settings(bad)


# ------------------------------------------------------------------------------- shared by tasks


async def test_tasks_share_one_pool_and_see_changes(db: Connection, start: StartRuntime) -> None:
    pools: list[Any] = []

    with DAG("d", schedule=None) as dag:

        @task
        async def ask(n: int) -> int:
            async with postgres("warehouse") as pool:
                pools.append(pool)
                return int(await pool.fetchval("select $1::int", n))

        ask.expand(n=list(range(40)))
    runtime = await start(dag)
    await store(runtime, "warehouse", db)
    assert (await ended(runtime, "d")).state == "success"
    assert len({id(pool) for pool in pools}) == 1
    changed = Connection.from_json(db.stored_text())
    changed.extra = '{"application_name": "changed"}'
    await store(runtime, "warehouse", changed)
    assert (await ended(runtime, "d")).state == "success"
    old, new = pools[0], pools[-1]
    assert old is not new
    async with asyncio.timeout(60):
        await old.close()  # twice is allowed: it is closing already, nobody uses it
    assert await new.fetchval("show application_name") == "changed"
    wrong = Connection.from_json(db.stored_text())
    wrong.schema = "nowhere"
    await store(runtime, "warehouse", wrong)
    run = await ended(runtime, "d")
    assert run.state == "failed"
    log = await log_of(runtime)
    assert "connection 'warehouse' (PostgresPoolHook) could not be opened: InvalidCatalogNameError" in log
    await store(runtime, "warehouse", db)
    assert (await ended(runtime, "d")).state == "success", "an opening that failed is not kept"


@pytest.mark.usefixtures("known")
async def test_a_pool_that_somebody_closed_is_opened_anew() -> None:
    async with hold_clients():
        async with postgres("db") as pool:
            await pool.close()
        async with postgres("db") as other:
            assert await other.fetchval("select 1") == 1
        assert (await PostgresHook("db").fetch_first("select 1"), len(clients_here())) == ((1,), 1)
        with patch.object(PostgresHook, "get_connection", return_value=Connection("x", "postgres", "", "127.0.0.1")):
            unreachable = PostgresHook("x")
            unreachable.using(Connection("x", host="127.0.0.1", port=1))
            with pytest.raises(ClientError, match="connection 'x'"):
                async with unreachable.using(Connection("x", host="127.0.0.1", port=1)):
                    pass


# ------------------------------------------------------------------------------------- operators


@pytest.mark.spec(
    "1:J4", "1:14:PostgresOperator", "3:12c:airflow.providers.postgres.operators.postgres.PostgresOperator"
)
@pytest.mark.parametrize(
    "path", ["airflow.providers.postgres.operators.postgres", "airflow.operators.postgres_operator"]
)
async def test_a_file_of_statements_that_a_task_has_written(
    db: Connection, start: StartRuntime, tmp_path: Path, path: str
) -> None:
    names: dict[str, Any] = {}
    with served_airflow():
        exec(f"from {path} import PostgresOperator", names)
    file = tmp_path / "postgres_query.sql"

    with DAG("stocksense", schedule=None, template_searchpath=str(tmp_path)) as dag:

        @task
        def fetch_pageviews() -> None:
            lines = [f"INSERT INTO views VALUES ('it''s; {n}', {n}, '{{{{ ds }}}}');" for n in range(3)]
            file.write_text("CREATE TABLE views (name text, n int, day date);\n" + "\n".join(lines))

        write = names["PostgresOperator"](
            task_id="write_to_postgres", postgres_conn_id="my_postgres", sql="postgres_query.sql"
        )
        read = PostgresOperator(
            task_id="read", postgres_conn_id="my_postgres", sql="select * from views where day = '{{ ds }}' order by n"
        )
        fetch_pageviews() >> write >> read
    runtime = await start(dag)
    await store(runtime, "my_postgres", db)
    run = await ended(runtime, "stocksense")
    assert run.state == "success", await log_of(runtime)
    day = run.logical_date.date()
    assert await value_of(runtime, run, "read") == [(f"it's; {n}", n, day) for n in range(3)]


async def test_all_that_the_operator_can(known: Connection, start: StartRuntime) -> None:
    def words(results: list[Any], descriptions: list[Any]) -> list[Any]:
        return [[descriptions[-1][0][0], *rows] for rows in results]

    both = "select 1 as a; select 2 as b"
    with DAG("d", schedule=None, default_args={"conn_id": "db"}) as dag:
        make = SQLExecuteQueryOperator(task_id="make", sql=["create table t (n int)", "insert into t values (7)"])
        params = SQLExecuteQueryOperator(
            task_id="params",
            sql="select n, %(day)s::date from t",
            parameters={"day": "{{ ds }}"},
            show_return_value_in_logs=True,
        )
        split = SQLExecuteQueryOperator(task_id="split", sql=both, split_statements=True, return_last=False)
        last = SQLExecuteQueryOperator(task_id="last", sql=both, split_statements=True)
        count = SQLExecuteQueryOperator(task_id="count", sql="select * from t", handler=len_of)
        silent = SQLExecuteQueryOperator(task_id="silent", sql="select 1", do_xcom_push=False)
        nothing = SQLExecuteQueryOperator(task_id="nothing", sql="select 1", handler=None)
        processed = SQLExecuteQueryOperator(task_id="processed", sql="select 5 as five", output_processor=words)
        other = SQLExecuteQueryOperator(task_id="other", sql="select current_database()", database="postgres")
        limited = PostgresOperator(
            task_id="limited", sql="show statement_timeout", runtime_parameters={"statement_timeout": "3s"}
        )
        make >> params >> [split, last, count, silent, nothing, processed, other, limited]
        SQLExecuteQueryOperator(task_id="bad", sql="select * from nowhere")
        SQLExecuteQueryOperator(task_id="no_sql", sql="select 1", conn_id="http_one")
    runtime = await start(dag)
    await store(runtime, "http_one", Connection("http_one", "http", host="h"))
    run = await ended(runtime, "d")
    states = await states_of(runtime, run)
    assert {name for name, state in states.items() if state != "success"} == {"bad", "no_sql"}
    found = {name: await value_of(runtime, run, name) for name in states}
    assert found["params"] == [(7, run.logical_date.date())]
    assert (found["split"], found["last"], found["count"]) == ([[(1,)], [(2,)]], [(2,)], 1)
    assert (found["silent"], found["nothing"], found["make"]) == (None, None, [None, None])
    assert found["processed"] == ["five", (5,)]
    assert (found["other"], found["limited"]) == ([("postgres",)], [("3s",)])
    log = await log_of(runtime)
    assert "UndefinedTableError" in log
    assert "is of type 'http', whose hook (HttpHook) runs no SQL" in log
    assert "Operator output is: [(7" in log


def len_of(cursor: Any) -> int:
    return len(cursor.fetchall())


async def test_an_operator_of_a_user_with_the_hook_in_it(known: Connection, start: StartRuntime) -> None:
    class RatingsToPostgres(BaseOperator):
        def __init__(self, ratings: list[Any], conn_id: str, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.ratings, self.conn_id = ratings, conn_id

        def execute(self, context: Any) -> None:
            hook = PostgresHook(postgres_conn_id=self.conn_id)
            hook.run([f"insert into movielens values ({movie}, {rating})" for movie, rating in self.ratings])

    class Counts(SQLExecuteQueryOperator):
        def execute(self, context: Any) -> Any:
            return super().execute(context)[0][0]

    with DAG("d", schedule=None) as dag:
        make = PostgresOperator(task_id="make", sql="create table movielens (movie int, rating float)")
        before = Counts(task_id="before", conn_id="db", sql="select count(*) from movielens")
        load = RatingsToPostgres([(1, 4.5), (2, 3)], "db", task_id="load")
        after = Counts(task_id="after", conn_id="db", sql="select count(*) from movielens")
        make >> before >> load >> after
    runtime = await start(dag)
    run = await ended(runtime, "d")
    assert run.state == "success", await log_of(runtime)
    assert (await value_of(runtime, run, "before"), await value_of(runtime, run, "after")) == (0, 2)


@pytest.mark.parametrize("path", ["airflow.operators.sql", "airflow.providers.common.sql.operators.sql"])
async def test_checks(known: Connection, start: StartRuntime, path: str) -> None:
    names: dict[str, Any] = {}
    with served_airflow():
        exec(f"from {path} import *\nfrom airflow.providers.common.sql.operators.sql import *", names)
    check, value = names["SQLCheckOperator"], names["SQLValueCheckOperator"]
    threshold, interval = names["SQLThresholdCheckOperator"], names["SQLIntervalCheckOperator"]
    wanted: dict[str, str] = {}
    await asyncio.to_thread(
        PostgresHook("db").run,
        "create table sales (ds date, n int); insert into sales select current_date - d, 10 + d from "
        "generate_series(0, 9) d",
    )
    with DAG("d", schedule=None, default_args={"conn_id": "db"}) as dag:

        def expect(operator: Any, state: str) -> None:
            wanted[operator.task_id] = state

        expect(check(task_id="c1", sql="select 1, 'x'"), "success")
        expect(check(task_id="c2", sql="select 1, 0"), "failed")
        expect(check(task_id="c3", sql="select 1 where false"), "failed")
        expect(value(task_id="v1", sql="select 95", pass_value=100, tolerance=0.1), "success")
        expect(value(task_id="v2", sql="select 80", pass_value=100, tolerance=0.1), "failed")
        expect(value(task_id="v3", sql="select 'a'", pass_value="a"), "success")
        expect(threshold(task_id="t1", sql="select 5", min_threshold="select 1", max_threshold=5), "success")
        expect(threshold(task_id="t2", sql="select 6", min_threshold=1, max_threshold=5), "failed")
        table = {"table": "sales", "days_back": 7}
        expect(interval(task_id="i1", metrics_thresholds={"sum(n)": 2}, **table), "success")
        expect(interval(task_id="i2", metrics_thresholds={"sum(n)": 1.1}, **table), "failed")
        expect(
            interval(task_id="i3", metrics_thresholds={"max(n)": 0.5}, ratio_formula="relative_diff", **table),
            "success",
        )
        branch = names["BranchSQLOperator"](
            task_id="b", sql="select 'yes'", follow_task_ids_if_true="this", follow_task_ids_if_false=["that"]
        )
        wanted["b"] = "success"
        for name, state in (("this", "success"), ("that", "skipped")):
            end = PostgresOperator(task_id=name, sql="select 1")
            branch >> end
            wanted[name] = state
    with DAG("wrong", schedule=None), pytest.raises(AuthoringError, match="ratio_formula 'x' is none of"):
        interval(task_id="i4", conn_id="db", metrics_thresholds={}, ratio_formula="x", **table)
    runtime = await start(dag)
    run = await ended(runtime, "d")
    assert await states_of(runtime, run) == wanted
