-- What the connected role may do with each table, partition, sequence and materialized view, and whether a published table
-- can take a DELETE: without a replica identity PostgreSQL refuses it.
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, pg_get_userbyid(c.relowner) AS owner,
       coalesce(rn.nspname, n.nspname) AS root_schema, coalesce(r.relname, c.relname) AS root,
       pg_has_role(c.relowner, 'USAGE') AS owned, has_schema_privilege(n.oid, 'USAGE') AS reachable,
       CASE WHEN c.relkind IN ('r', 'p') THEN ARRAY(
           SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'DELETE', 'TRUNCATE']) p WHERE NOT has_table_privilege(c.oid, p))
            ELSE '{}' END AS lacking,
       c.relispopulated AS populated,
       current_setting('server_version_num')::int >= 170000 AND c.relkind = 'm'
           AND has_table_privilege(c.oid, CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'MAINTAIN' ELSE 'SELECT' END)
           AS maintained,
       CASE WHEN c.relkind = 'r' AND c.relpersistence = 'p' AND NOT (c.relreplident = 'f'
                 OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
                            AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)))
            THEN (SELECT min(b.pubname::text) FROM pg_publication b
                  WHERE b.pubdelete AND (b.puballtables OR EXISTS (
                      SELECT FROM pg_publication_rel l WHERE l.prpubid = b.oid
                        AND (l.prrelid = c.oid OR l.prrelid IN (SELECT relid FROM pg_partition_ancestors(c.oid))))
                      OR EXISTS (SELECT FROM pg_publication_tables t WHERE t.pubname = b.pubname AND t.schemaname = n.nspname
                                 AND t.tablename = c.relname))) END AS published
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid)
LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY n.nspname, c.relname
