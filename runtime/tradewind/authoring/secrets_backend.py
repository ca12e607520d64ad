"""What a secrets back end of one's own is derived from."""

from __future__ import annotations

from tradewind.authoring.connection import Connection


class BaseSecretsBackend:
    """A place that is asked for connections and variables before the environment and the database.

    Override `get_conn_value` (or `get_connection`) and `get_variable`; None means: not here. They run
    in threads of the runtime, several at once. The class is named by `[secrets] backend`, and made
    with the arguments of `backend_kwargs`.
    """

    @staticmethod
    def build_path(path_prefix: str, secret_id: str, sep: str = "/") -> str:
        """The prefix and the name as one path."""
        return f"{path_prefix}{sep}{secret_id}"

    def get_conn_value(self, conn_id: str) -> str | None:
        """The connection as a URI or as JSON text, or None."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot be asked for connection {conn_id!r}: define get_conn_value(conn_id) or "
            "get_connection(conn_id), and return None for what it does not have"
        )

    def deserialize_connection(self, conn_id: str, value: str) -> Connection:
        """The connection that `get_conn_value` gave. Raises ValueError."""
        return Connection.from_text(conn_id, value)

    def get_connection(self, conn_id: str) -> Connection | None:
        """The connection, or None."""
        value = self.get_conn_value(conn_id)
        return None if not value else self.deserialize_connection(conn_id, value)

    def get_variable(self, key: str) -> str | None:
        """The variable's text, or None."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot be asked for variable {key!r}: define get_variable(key), and return None "
            "for what it does not have"
        )

    def get_config(self, key: str) -> str | None:
        """Not asked: options come from the configuration, `_CMD` variants of it included."""
        del key
        return None
