-- Tables in which this transaction changed rows so far. A rollback to a savepoint counts too.
SELECT schemaname AS schema, relname AS name, n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_del AS deleted
FROM pg_stat_xact_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0
ORDER BY schemaname, relname
