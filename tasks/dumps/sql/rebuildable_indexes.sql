-- Indexes that can be dropped and created again without a trace: plain columns, no uniqueness, no state or tablespace of their
-- own, no partition of another index, nothing that depends on them. None if DDL runs code of the application, or if the role
-- creates indexes in another tablespace than the database's own.
SELECT n.nspname AS schema, c.relname AS name, xn.nspname AS index_schema, x.relname AS index, pg_get_indexdef(i.indexrelid) AS definition,
       obj_description(i.indexrelid, 'pg_class') AS comment, n.nspname AS root_schema, c.relname AS root
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace xn ON xn.oid = x.relnamespace
JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND NOT c.relispartition AND x.relkind = 'i'
  AND NOT i.indisunique AND NOT i.indisexclusion AND NOT i.indisclustered AND NOT i.indisreplident
  AND i.indisvalid AND i.indisready AND i.indislive AND i.indexprs IS NULL AND i.indpred IS NULL AND x.reltablespace = 0
  AND pg_has_role(c.relowner, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = x.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = x.oid AND d.deptype IN ('e', 'x'))
  AND NOT EXISTS (SELECT FROM pg_event_trigger e WHERE e.evtenabled <> 'D' AND e.evtevent <> 'login')
  AND current_setting('default_tablespace') = ''
ORDER BY 1, 2, 4
