-- Text outside the rows that could hold personal data: comments, defaults, checks, views, function bodies, server options.
WITH own AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND nspname !~ '^pg_temp'
)
SELECT format('comment on %s', pg_describe_object(d.classoid, d.objoid, d.objsubid)) AS "where", 'comment' AS kind,
       d.description AS text
FROM pg_description d
WHERE (d.classoid = 'pg_class'::regclass AND d.objoid IN (SELECT c.oid FROM pg_class c JOIN own ON own.oid = c.relnamespace))
   OR (d.classoid = 'pg_proc'::regclass AND d.objoid IN (SELECT p.oid FROM pg_proc p JOIN own ON own.oid = p.pronamespace))
   OR (d.classoid = 'pg_type'::regclass AND d.objoid IN (SELECT t.oid FROM pg_type t JOIN own ON own.oid = t.typnamespace))
   OR (d.classoid = 'pg_constraint'::regclass AND d.objoid IN (SELECT k.oid FROM pg_constraint k JOIN own ON own.oid = k.connamespace))
UNION ALL
SELECT format('comment on database %s', current_database()), 'comment', shobj_description(oid, 'pg_database')
FROM pg_database WHERE datname = current_database() AND shobj_description(oid, 'pg_database') IS NOT NULL
UNION ALL
SELECT format('default of %s.%s.%s', own.nspname, c.relname, a.attname),
       CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated' END, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN own ON own.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
UNION ALL
SELECT format('constraint %s', k.conname), 'check', pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN own ON own.oid = k.connamespace WHERE k.contype = 'c'
UNION ALL
SELECT format('view %s.%s', own.nspname, c.relname), 'view', pg_get_viewdef(c.oid)
FROM pg_class c JOIN own ON own.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')
UNION ALL
SELECT format('function %s.%s', own.nspname, p.proname), 'function', p.prosrc
FROM pg_proc p JOIN own ON own.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname NOT IN ('c', 'internal')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT format('foreign server %s', s.srvname), 'foreign-server', array_to_string(s.srvoptions, ' ')
FROM pg_foreign_server s WHERE s.srvoptions IS NOT NULL
