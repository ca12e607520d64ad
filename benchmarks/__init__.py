"""Questions about speed, one file each: ``python -m benchmarks NAME --json [--samples FILE]``.

Every benchmark runs the path of a user's run (DAG files in a folder, the embedded PostgreSQL with
fsync and synchronous_commit on, all rows written) and measures its own floor in the same run.
"""
