-- What an analyst adds to either side. Keys and indexes of references are there: twin.sql has made them on the one,
-- newt.create_table on the other.
CREATE INDEX ON package (name text_pattern_ops);
CREATE INDEX ON package USING gin (tags);
CREATE INDEX ON package USING gin (acl);
CREATE INDEX ON package USING gin ((setweight(to_tsvector('english', name), 'A')
    || setweight(to_tsvector('english', coalesce(summary, '')), 'B')
    || setweight(to_tsvector('english', coalesce(description, '')), 'C')));
