-- Rewrite rules of tables that a statement of ours could meet, with the state to which they must return. Those of views
-- and those that are switched off are not among them.
SELECT n.nspname AS schema, c.relname AS name, w.rulename AS rule, w.ev_enabled::text AS state
FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE w.ev_type <> '1' AND w.ev_enabled <> 'D' AND c.relkind IN ('r', 'p')
ORDER BY n.nspname, c.relname, w.rulename
