-- newt: reads the state records of Newt object stores
\echo Use "CREATE EXTENSION newt" to load this file. \quit

-- The schema belongs to the extension: a dump leaves both to CREATE EXTENSION, and a schema of that
-- name that another role has prepared is refused.
CREATE SCHEMA newt;
-- Everybody may use the functions: they read their arguments, or act with the caller's rights.
GRANT USAGE ON SCHEMA newt TO PUBLIC;

-- COST: measured on the common workload's Task, in units of about 6 ns.
