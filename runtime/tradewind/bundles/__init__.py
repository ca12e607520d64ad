"""Where DAG files come from: watching, loading in child processes, versions."""
