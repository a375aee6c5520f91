-- The application's functions, with their declaration and source, from which follows whether their result may depend on
-- other tables.
SELECT p.oid::regprocedure::text AS function, p.provolatile = 'i' AS immutable, p.prosrc AS source,
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
               AND d.refclassid = 'pg_class'::regclass) AS reads
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE l.lanname NOT IN ('c', 'internal') AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
