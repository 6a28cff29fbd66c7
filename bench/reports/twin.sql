-- The store's data as a careful analyst would have laid it out by hand, with the usual indexes, in the schema
-- b_twin: psql -v store=debian. Made of the JSONB, and so by another way than typed tables.
SET search_path = b_twin, pg_catalog;
CREATE SCHEMA b_twin;

CREATE TABLE maintainer AS
    SELECT zoid AS id, state->>'name' AS name, state->>'email' AS email
      FROM :"store".newt WHERE class_name = 'Maintainer' ORDER BY zoid;
CREATE TABLE section AS
    SELECT zoid AS id, state->>'name' AS name, ARRAY(SELECT jsonb_array_elements_text(state->'acl')) AS acl
      FROM :"store".newt WHERE class_name = 'Section' ORDER BY zoid;
CREATE TABLE package AS
    SELECT zoid AS id, state->>'name' AS name, state->>'version' AS version, state->>'architecture' AS architecture,
           newt.ref(state->'section') AS section_id, newt.ref(state->'maintainer') AS maintainer_id,
           state->>'priority' AS priority, (state->>'essential')::boolean AS essential, state->>'summary' AS summary,
           state->>'description' AS description, state->>'homepage' AS homepage, (state->>'size')::bigint AS size,
           (state->>'installed_size')::bigint AS installed_size,
           ARRAY(SELECT jsonb_array_elements_text(state->'tags')) AS tags,
           ARRAY(SELECT jsonb_array_elements_text(state->'acl')) AS acl,
           (state->>'held')::boolean AS held, (state->>'reviews')::bigint AS reviews
      FROM :"store".newt WHERE class_name = 'Package' ORDER BY zoid;
-- a row for each package that satisfies a relation
CREATE TABLE depends AS
    SELECT p.zoid AS package_id, r.relation->>'kind' AS kind, r.relation->>'spec' AS spec, newt.ref(a.alternative) AS target_id,
           r.n AS relation, a.n AS alternative
      FROM :"store".newt p,
           jsonb_array_elements(p.state->'relations') WITH ORDINALITY r (relation, n),
           jsonb_array_elements(r.relation->'any_of') WITH ORDINALITY a (alternative, n)
     WHERE p.class_name = 'Package' ORDER BY p.zoid, r.n, a.n;

ALTER TABLE maintainer ADD PRIMARY KEY (id);
ALTER TABLE section ADD PRIMARY KEY (id);
ALTER TABLE package ADD PRIMARY KEY (id);
CREATE INDEX ON package (section_id);
CREATE INDEX ON package (maintainer_id);
CREATE INDEX ON depends (package_id);
CREATE INDEX ON depends (target_id);
