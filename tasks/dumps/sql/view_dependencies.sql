-- Which materialized view reads which other one, directly or through plain views: the order in which to refresh.
WITH RECURSIVE reads AS (
    SELECT w.ev_class AS view, d.refobjid AS source FROM pg_rewrite w
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    WHERE d.refobjid <> w.ev_class
), through AS (
    SELECT view, source FROM reads
    UNION
    SELECT t.view, r.source FROM through t JOIN pg_class v ON v.oid = t.source AND v.relkind = 'v' JOIN reads r ON r.view = t.source
)
SELECT DISTINCT t.view::bigint AS view, t.source::bigint AS source
FROM through t JOIN pg_class a ON a.oid = t.view AND a.relkind = 'm' JOIN pg_class b ON b.oid = t.source AND b.relkind = 'm'
