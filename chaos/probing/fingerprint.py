"""What decides on a node who may do what: two statements, run as its superuser.

``RIGHTS`` is what replication carries from the primary: roles, memberships, grants, owners, row
security, policies, options and texts of views, functions, extensions. Of the schemas that come with
PostgreSQL only what differs from how ``initdb`` left it, and nothing of Bascule's own schema, in
which faults make tables. ``DOORS`` is each node's own, and nobody carries it: the rules of
``pg_hba.conf`` as the server reads the file (also before a reload), user maps, ``ALTER SYSTEM``,
and the settings of logs, libraries and passwords.

PostgreSQL manual, 53 (system catalogs) and 54 (``pg_hba_file_rules``, ``pg_ident_file_mappings``,
``pg_file_settings``). Both work on a replica, from PostgreSQL 15 on.
"""

from __future__ import annotations

from typing import LiteralString

from replication.wire import Session

RIGHTS: LiteralString = r"""
WITH schemas AS (
    SELECT oid, nspname, nspname IN ('pg_catalog', 'information_schema') AS is_system
    FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)' AND nspname <> 'bascule'
)
SELECT 'role ' || rolname, concat_ws(' ',
    CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
    CASE WHEN rolsuper THEN 'SUPERUSER' END,
    CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
    CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
    CASE WHEN rolcreatedb THEN 'CREATEDB' END,
    CASE WHEN rolreplication THEN 'REPLICATION' END,
    CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
    'CONNECTION LIMIT ' || rolconnlimit,
    'VALID UNTIL ' || rolvaliduntil,
    'password ' || left(encode(sha256(rolpassword::bytea), 'hex'), 12))
FROM pg_authid WHERE rolname !~ '^pg_'
UNION ALL
SELECT 'member ' || member::regrole || ' of ' || roleid::regrole || ' by ' || grantor::regrole,
    (to_jsonb(m) - ARRAY['oid', 'roleid', 'member', 'grantor'])::text
FROM pg_auth_members m WHERE grantor <> 10 OR member >= 16384
UNION ALL
SELECT 'settings of ' || CASE WHEN setrole = 0 THEN 'everybody' ELSE setrole::regrole::text END
    || ' in ' || coalesce((SELECT datname FROM pg_database d WHERE d.oid = setdatabase), 'all'),
    setconfig::text
FROM pg_db_role_setting
UNION ALL
SELECT 'database ' || datname, concat_ws(' ', 'owner', datdba::regrole, datacl::text,
    CASE WHEN NOT datallowconn THEN 'no connections' END)
FROM pg_database
UNION ALL
SELECT 'schema ' || n.nspname, concat_ws(' ', 'owner', n.nspowner::regrole, n.nspacl::text)
FROM pg_namespace n JOIN schemas USING (oid)
UNION ALL
SELECT CASE relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '
        WHEN 'S' THEN 'sequence ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END
    || quote_ident(nspname) || '.' || quote_ident(relname),
    concat_ws(' ', 'owner', relowner::regrole, relacl::text, reloptions::text,
        CASE WHEN relrowsecurity THEN 'ROW LEVEL SECURITY' END,
        CASE WHEN relforcerowsecurity THEN 'FORCED' END,
        CASE WHEN relkind IN ('v', 'm') THEN 'text ' || md5(pg_get_viewdef(c.oid)) END)
FROM pg_class c JOIN schemas s ON s.oid = relnamespace
LEFT JOIN pg_init_privs i ON (i.objoid, i.classoid, i.objsubid) = (c.oid, 'pg_class'::regclass, 0)
WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    AND (NOT is_system OR relacl IS DISTINCT FROM i.initprivs)
UNION ALL
SELECT 'column ' || quote_ident(nspname) || '.' || quote_ident(relname) || '.' || attname,
    attacl::text
FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN schemas s ON s.oid = relnamespace
WHERE attacl IS NOT NULL AND NOT is_system
UNION ALL
SELECT 'policy ' || quote_ident(polname) || ' on ' || quote_ident(nspname) || '.'
        || quote_ident(relname),
    concat_ws(' ', polcmd, CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, 'TO',
        (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE r::regrole::text END, ',')
            FROM unnest(polroles) AS r),
        'USING ' || pg_get_expr(polqual, polrelid),
        'WITH CHECK ' || pg_get_expr(polwithcheck, polrelid))
FROM pg_policy JOIN pg_class c ON c.oid = polrelid JOIN schemas s ON s.oid = relnamespace
UNION ALL
SELECT 'function ' || quote_ident(nspname) || '.' || quote_ident(proname)
        || '(' || pg_get_function_identity_arguments(p.oid) || ')',
    concat_ws(' ', 'owner', proowner::regrole, proacl::text,
        CASE WHEN prosecdef THEN 'SECURITY DEFINER' END,
        CASE WHEN proleakproof THEN 'LEAKPROOF' END,
        proconfig::text, 'text ' || md5(coalesce(prosrc, '')))
FROM pg_proc p JOIN schemas s ON s.oid = pronamespace
LEFT JOIN pg_init_privs i ON (i.objoid, i.classoid, i.objsubid) = (p.oid, 'pg_proc'::regclass, 0)
WHERE NOT is_system OR proacl IS DISTINCT FROM i.initprivs
UNION ALL
SELECT 'default rights of ' || defaclrole::regrole || ' on ' || defaclobjtype::text || ' in '
        || coalesce((SELECT nspname FROM pg_namespace n WHERE n.oid = defaclnamespace), 'all'),
    defaclacl::text
FROM pg_default_acl
UNION ALL
SELECT 'parameter ' || parname, paracl::text FROM pg_parameter_acl
UNION ALL
SELECT 'foreign server ' || srvname, concat_ws(' ', 'owner', srvowner::regrole, srvacl::text)
FROM pg_foreign_server
UNION ALL
SELECT 'extension ' || extname, extversion FROM pg_extension
"""

DOORS: LiteralString = r"""
SELECT 'HBA rule ' || row_number() OVER (ORDER BY line_number),
    concat_ws(' ', type, array_to_string(database, ','), array_to_string(user_name, ','), address,
        netmask, auth_method, array_to_string(options, ','), 'ERROR ' || error)
FROM pg_hba_file_rules
UNION ALL
SELECT 'user map ' || row_number() OVER (ORDER BY line_number),
    concat_ws(' ', map_name, sys_name, pg_username, 'ERROR ' || error)
FROM pg_ident_file_mappings
UNION ALL
SELECT 'ALTER SYSTEM ' || name, string_agg(setting, ' then ' ORDER BY seqno)
FROM pg_file_settings
WHERE sourcefile ~ 'postgresql\.auto\.conf$' AND name !~ '^(primary_|recovery_|restore_)'
GROUP BY name
UNION ALL
SELECT 'setting ' || name, setting FROM pg_settings
WHERE name ~ '^(log_|ssl)' OR name IN ('logging_collector', 'password_encryption', 'row_security',
    'shared_preload_libraries', 'session_preload_libraries', 'local_preload_libraries',
    'authentication_timeout', 'scram_iterations', 'allow_system_table_mods', 'listen_addresses')
"""


async def read_rights(session: Session) -> dict[str, str]:
    """``RIGHTS`` of a node, by item.

    Raises:
        psycopg.Error: the server refused, or was lost.
    """
    return _by_item(await session.fetch(RIGHTS))


async def read_doors(session: Session) -> dict[str, str]:
    """``DOORS`` of a node, by item.

    Raises:
        psycopg.Error: the server refused, or was lost.
    """
    return _by_item(await session.fetch(DOORS))


def _by_item(rows: list[tuple[object, ...]]) -> dict[str, str]:
    return dict(sorted((str(item), "" if value is None else str(value)) for item, value in rows))
