#!/bin/sh
# Runs once, on an empty database volume: a second role and database for the ledger, beside Airflow's.
set -eu
: "${LEDGER_PASSWORD:?the ledger's password}"
psql --set ON_ERROR_STOP=1 --set password="$LEDGER_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE ringrift LOGIN PASSWORD :'password';
CREATE DATABASE ringrift OWNER ringrift;
SQL
