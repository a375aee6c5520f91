-- The triggers of people, not those of foreign keys, with the state to which they must return. Parents before clones.
SELECT n.nspname AS schema, c.relname AS name, t.tgname AS trigger, t.tgenabled::text AS state
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND c.relkind IN ('r', 'p')
ORDER BY t.tgparentid <> 0, n.nspname, c.relname, t.tgname
