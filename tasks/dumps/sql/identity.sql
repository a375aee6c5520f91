-- Which database is this? pg_control_system() needs no privilege.
SELECT current_database() AS database,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database_oid,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       current_setting('server_version_num')::int AS server_version,
       current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS standby
