"""Tasks that run statements in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

from tradewind_providers.sql.operators import SQLArguments, SQLExecuteQueryOperator


class PostgresOperator(SQLExecuteQueryOperator):
    """`SQLExecuteQueryOperator` for a connection to PostgreSQL, `postgres_default` unless another is named.

    `runtime_parameters` are settings of the session, such as `{"statement_timeout": "3000ms"}`.
    """

    template_fields: Sequence[str] = (
        *("sql", "parameters", "hook_params", "database"),
        *("postgres_conn_id", "runtime_parameters"),
    )
    default_conn_id: ClassVar[str | None] = "postgres_default"
    conn_id_field: ClassVar[str] = "postgres_conn_id"

    def __init__(
        self,
        *,
        sql: str | Sequence[str],
        postgres_conn_id: str | None = None,
        runtime_parameters: Mapping[str, str] | None = None,
        **arguments: Unpack[SQLArguments],
    ) -> None:
        if postgres_conn_id is not None:
            arguments["conn_id"] = postgres_conn_id
        super().__init__(sql=sql, **arguments)
        self.postgres_conn_id = self.conn_id
        self.runtime_parameters = runtime_parameters

    async def _execute(self, context: Any) -> Any:
        self.conn_id = self.postgres_conn_id  # as it was rendered
        if self.runtime_parameters:
            options = " ".join(f"-c {name}={value}" for name, value in self.runtime_parameters.items())
            self.hook_params = {"options": options, **self.hook_params}
        return await super()._execute(context)
