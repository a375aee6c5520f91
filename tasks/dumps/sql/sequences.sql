-- Sequences, one row for each column that draws from them: the owner (serial, identity) first, then by a default that
-- calls nextval, as in inheritance children, or where several tables share one.
SELECT n.nspname AS schema, c.relname AS name, s.seqincrement AS increment, o.schema AS table_schema, o.name AS table_name,
       o.column_name
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT tn.nspname AS schema, t.relname AS name, a.attname AS column_name, u.place, t.oid
    FROM (SELECT d.refobjid, d.refobjsubid, 0 AS place FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
            AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
          UNION
          SELECT f.adrelid, f.adnum, 1 FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
          WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) u
    JOIN pg_class t ON t.oid = u.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = u.refobjid AND a.attnum = u.refobjsubid
    ORDER BY u.place, t.oid) o ON true
WHERE c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname, o.place, o.oid
