"""Lets DAG files written for Apache Airflow import our classes under the names they know."""
