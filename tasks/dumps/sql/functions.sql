-- The application's own functions: none of PostgreSQL's, none of an extension.
SELECT n.nspname AS schema, p.proname AS name, l.lanname AS language, p.provolatile::text AS volatility,
       coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS source
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND p.prorettype <> 'trigger'::regtype
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY n.nspname, p.proname, p.oid
