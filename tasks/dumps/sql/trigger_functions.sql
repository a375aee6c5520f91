-- What the triggers and rules of people run: the function with its text, for those on tables and roots of partitions. The clones of a
-- root's trigger on its partitions say nothing new. `arguments` end with a zero byte each.
SELECT n.nspname AS schema, c.relname AS name, t.tgname AS trigger, t.tgenabled::text AS state,
       c.relispartition AS partition,
       (t.tgtype & 1) <> 0 AS row, (t.tgtype & 2) <> 0 AS before, (t.tgtype & 4) <> 0 AS insert,
       l.lanname AS language, p.proname AS function, coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS source,
       t.tgqual IS NOT NULL AS conditional, t.tgargs AS arguments, array_remove(ARRAY[t.tgoldtable, t.tgnewtable]::text[], NULL) AS transitions
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND c.relkind IN ('r', 'p')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
UNION ALL
SELECT n.nspname, c.relname, r.rulename, r.ev_enabled::text, c.relispartition, false, false, false, 'rule', r.rulename,
       pg_get_ruledef(r.oid), r.ev_qual::text <> '<>', '', '{}'
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY schema, name, trigger
