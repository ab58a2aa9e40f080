-- The roles of package store/postgres, after schema.sql. Grant them to the roles that nodes and editors log in with:
--
--   create role node_1 login password '…';      grant mtlsguard_reader to node_1;
--   create role anna login password '…';        grant mtlsguard_editor to anna;
begin;

do $$ begin
  if not exists (select from pg_roles where rolname = 'mtlsguard_reader') then
    create role mtlsguard_reader nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'mtlsguard_editor') then
    create role mtlsguard_editor nologin;
  end if;
end $$;
grant mtlsguard_reader to mtlsguard_editor;

-- Nodes read, and write their reports.
grant usage on schema mtlsguard to mtlsguard_reader;
grant select on mtlsguard.generation, mtlsguard.blob, mtlsguard.node to mtlsguard_reader;
grant insert, update on mtlsguard.node to mtlsguard_reader;

-- Editors also add generations. Nobody may update or delete them.
grant insert on mtlsguard.generation, mtlsguard.blob to mtlsguard_editor;

commit;
