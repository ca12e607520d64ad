"""Shipped for users' own suites: conformance suites, a virtual clock, a DAG runner, a pytest plugin."""
