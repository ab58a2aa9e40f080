-- The tables of package store/postgres. An administrator runs this file once in a database of encoding UTF8,
-- and again after an update of mtlsguard: it changes nothing that is there and right.
--
--   psql -v ON_ERROR_STOP=1 -f schema.sql DATABASE
--
-- roles.sql has the roles of nodes and editors.
begin;

do $$ begin
  if current_setting('server_encoding') <> 'UTF8' then
    raise exception 'the encoding of the database is %, and must be UTF8', current_setting('server_encoding');
  end if;
  if current_setting('server_version_num')::int < 140000 then
    raise exception 'PostgreSQL is %, and must be 14 or newer', current_setting('server_version');
  end if;
end $$;

create schema if not exists mtlsguard;

-- Generations. The newest of a fleet has the highest number. Rows are added, and never changed.
create table if not exists mtlsguard.generation (
  fleet      text        not null check (fleet <> ''),
  number     bigint      not null check (number > 0),
  parent     bytea       not null,                          -- digest of the one before; '' for number 1
  manifest   bytea       not null check (octet_length(manifest) <= 524288), -- JSON, as it was signed
  signatures bytea       not null check (octet_length(signatures) <= 16384), -- JSON
  digest     bytea       not null generated always as (sha256(manifest)) stored,
  at         timestamptz not null, -- by the clock of the database
  role       name        not null, -- of the editor's session
  primary key (fleet, number)
);

-- The contents of files, by their SHA-256, in parts of 256 KiB: all but the last are full.
create table if not exists mtlsguard.blob (
  fleet  text  not null,
  digest bytea not null check (octet_length(digest) = 32),
  part   int   not null check (part between 0 and 1023),
  data   bytea not null check (octet_length(data) between 1 and 262144),
  primary key (fleet, digest, part)
);
alter table mtlsguard.blob alter column data set storage external; -- not compressed: parts are read as they are

-- The last report of each node.
create table if not exists mtlsguard.node (
  fleet  text        not null,
  node   text        not null check (octet_length(node) between 1 and 255),
  report json        not null check (octet_length(report::text) <= 65536),
  at     timestamptz not null, -- by the clock of the database
  role   name        not null, -- of the node's session
  primary key (fleet, node)
);

-- A generation is added only after its parent, with all its files: of two editors, the second gets the
-- error unique_violation. What the columns say is what the manifest says.
create or replace function mtlsguard.check_generation() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  newest  record;
  m       json;
  missing text;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'generations are added with the isolation level READ COMMITTED';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('mtlsguard ' || new.fleet, 0)); -- prune takes it too
  select number, digest into newest from mtlsguard.generation
    where fleet = new.fleet order by number desc limit 1;
  if new.number <> coalesce(newest.number, 0) + 1 or new.parent <> coalesce(newest.digest, '') then
    raise exception 'another generation was committed before: the newest is %', coalesce(newest.number, 0)
      using errcode = 'unique_violation';
  end if;
  m := convert_from(new.manifest, 'UTF8')::json;
  if m->>'fleet' is distinct from new.fleet or m->>'number' is distinct from new.number::text
    or coalesce(m->>'parent', '') <> encode(new.parent, 'hex') then
    raise exception 'fleet, number and parent must be those of the manifest';
  end if;
  select string_agg(f->>'name', ', ') into missing from json_array_elements(m->'files') f
    where (f->>'size')::bigint <> (select coalesce(sum(octet_length(b.data)), 0) from mtlsguard.blob b
      where b.fleet = new.fleet and b.digest = decode(f->>'sha256', 'hex'));
  if missing is not null then
    raise exception 'files of the generation are not in mtlsguard.blob: %', left(missing, 200)
      using errcode = 'MG001';
  end if;
  new.at := clock_timestamp();
  new.role := session_user;
  return new;
end $$;
create or replace trigger check_generation before insert on mtlsguard.generation
  for each row execute function mtlsguard.check_generation();

-- One commit is one notification: it has the name of the fleet and the number, and nodes read the rest.
create or replace function mtlsguard.notify_generation() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_notify('mtlsguard', new.fleet || ' ' || new.number);
  return null;
end $$;
create or replace trigger notify_generation after insert on mtlsguard.generation
  for each row execute function mtlsguard.notify_generation();

-- Generations and blobs are never changed, and only prune removes them: not even their owner does so by mistake.
create or replace function mtlsguard.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' and current_setting('mtlsguard.pruning', true) = 'on' then
    return old;
  end if;
  raise exception '% of mtlsguard.% is refused: add a generation; mtlsguard.prune removes old ones', lower(tg_op), tg_table_name;
end $$;
create or replace trigger refuse_change before update or delete on mtlsguard.generation
  for each row execute function mtlsguard.refuse_change();
create or replace trigger refuse_change before update or delete on mtlsguard.blob
  for each row execute function mtlsguard.refuse_change();
create or replace trigger refuse_truncate before truncate on mtlsguard.generation
  for each statement execute function mtlsguard.refuse_change();
create or replace trigger refuse_truncate before truncate on mtlsguard.blob
  for each statement execute function mtlsguard.refuse_change();

-- A fleet has at most 10,000 reports: a node whose role was stolen cannot fill the database.
create or replace function mtlsguard.check_node() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from mtlsguard.node where fleet = new.fleet and node = new.node)
    and (select count(*) from mtlsguard.node where fleet = new.fleet) >= 10000 then
    raise exception 'fleet % has 10,000 reports of nodes: mtlsguard.prune removes old ones', new.fleet;
  end if;
  new.at := clock_timestamp();
  new.role := session_user;
  return new;
end $$;
create or replace trigger check_node before insert or update on mtlsguard.node
  for each row execute function mtlsguard.check_node();

-- prune removes the generations of a fleet that are not among the newest "keep" and are older than "younger", then
-- the blobs that no generation names, and reports that are as old, but at least a day. Only the owner of the schema may call it, and those to whom the owner grants it:
--   select * from mtlsguard.prune('orders', 50, '90 days');
create or replace function mtlsguard.prune(of_fleet text, keep int, younger interval,
  out generations bigint, out parts bigint, out nodes bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  first_kept bigint;
begin
  if of_fleet is null or keep is null or keep < 1 or younger is null or younger < interval '0' then
    raise exception 'prune keeps at least 1 generation, and younger is not negative';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'prune needs the isolation level READ COMMITTED';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('mtlsguard ' || of_fleet, 0)); -- check_generation takes it too
  -- No gaps: everything from the first that is kept for its age, or among the newest, stays.
  select least(max(g.number) - keep + 1, min(g.number) filter (where g.at >= clock_timestamp() - younger))
    into first_kept from mtlsguard.generation g where g.fleet = of_fleet;
  perform set_config('mtlsguard.pruning', 'on', true);
  delete from mtlsguard.generation g where g.fleet = of_fleet and g.number < first_kept;
  get diagnostics generations = row_count;
  delete from mtlsguard.blob b where b.fleet = of_fleet and b.digest not in (
    select decode(f->>'sha256', 'hex') from mtlsguard.generation g,
      json_array_elements(convert_from(g.manifest, 'UTF8')::json->'files') f where g.fleet = of_fleet);
  get diagnostics parts = row_count;
  perform set_config('mtlsguard.pruning', 'off', true);
  delete from mtlsguard.node n where n.fleet = of_fleet and n.at < clock_timestamp() - greatest(younger, interval '1 day');
  get diagnostics nodes = row_count;
end $$;
revoke all on function mtlsguard.prune(text, int, interval) from public;

commit;
