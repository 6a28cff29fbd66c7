-- report | newt.patch, newt.insert and newt.remove on what it sees, what it does not see, and what is not there | 42501
SELECT newt.patch('shop', 11, '{"title": "mine"}');
SELECT newt.patch('shop', 12, '{"title": "mine"}');
SELECT newt.patch('shop', 99, '{"title": "mine"}');
SELECT newt.insert('shop', 'Folder', '{"title": "mine", "readers": ["staff"]}');
SELECT newt.remove('shop', 12);
SELECT newt.remove('shop', 99);
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- reader | the same, as a role that may read everything | 42501
SELECT newt.patch('shop', 11, '{"title": "mine"}');
SELECT newt.insert('shop', 'Folder', '{"readers": ["staff"]}');
SELECT newt.remove('shop', 12);
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- updater | the same, as a role that writes the projection | 42501
SELECT newt.patch('shop', 11, '{"title": "mine"}');
SELECT newt.insert('shop', 'Folder', '{"readers": ["staff"]}');
SELECT newt.remove('shop', 12);
--> ERROR 42501
--> ERROR 42501
--> ERROR 42501

-- application | patches of unknown fields, of the root, of the library's own classes, with forged wrappers | they are refused; nothing is written
SELECT newt.patch('shop', 12, '{"zoid": 11}');
SELECT newt.patch('shop', 1, '{"items": {}}');
SELECT newt.insert('shop', 'newt.Root', '{}');
SELECT newt.patch('shop', 11, '{"within": "::=>13"}');
SELECT newt.patch('shop', 11, '{"within": {"::=>": 10, "x": 1}}');
SELECT newt.patch('shop', 11, '{"title": {"::bin": 3}}');
SELECT newt.patch('shop', 11, '{"title": {"::b64": "AA==", "::text": "open"}}');
SELECT newt.patch('shop', 11, '[1]');
SELECT newt.patch('shop', 11, '{"title": "mine"}', 0);
--> ERROR 42703
--> ERROR 0A000
--> ERROR 0A000
--> ERROR 22023
--> ERROR 22023
--> ERROR 22023
--> ERROR 22023
--> ERROR 22023
--> ERROR 40001

-- application | a patch in a function that an error rolls back, beside one that stays | principals follow the one that stays, and are right
-- changes
BEGIN;
SELECT newt.patch('shop', 13, '{"readers": ["staff"]}') > 0;
SAVEPOINT a;
SELECT newt.patch('shop', 10, '{"readers": []}') > 0;
ROLLBACK TO a;
COMMIT;
SELECT array_agg(c ORDER BY c) FROM newt.can('shop', 'view', '{staff}') c WHERE c < 20;
SELECT newt.patch('shop', 13, '{"readers": ["board"]}') > 0;
SELECT array_agg(c ORDER BY c) FROM newt.can('shop', 'view', '{staff}') c WHERE c < 20;
--> t
--> t
--> {10,11,12,13}
--> t
--> {10,11}
