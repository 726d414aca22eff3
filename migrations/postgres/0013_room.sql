-- Whether organizations have room for new sessions, decided and kept: until the transaction ends nobody else is told so.
-- A function, since each statement in it sees what was committed before that statement began, the lock being held by
-- then; that is what makes one round trip of the four that a creation took.
--
-- `locks` are in ascending order, so that two transactions never wait for each other.
-- The conditions on `status` must read as in the indexes of migration 4.
CREATE FUNCTION quarterdeck_has_room(locks bigint[], asking uuid[], wanted bigint[], concurrent bigint[])
    RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    lock bigint;
BEGIN
    FOREACH lock IN ARRAY locks LOOP
        PERFORM pg_advisory_xact_lock(lock);
    END LOOP;
    RETURN NOT EXISTS (
        SELECT FROM UNNEST(asking, wanted, concurrent) AS a (id, wanted, concurrent)
        WHERE (SELECT COUNT(*) FROM sessions s WHERE s.organization_id = a.id
                AND s.status IN ('pending', 'running', 'paused', 'idle', 'awaiting_tool_results'))
            + (SELECT COUNT(*) FROM sessions s WHERE s.organization_id = a.id AND s.status = 'queued')
            + a.wanted
            > COALESCE((SELECT o.max_concurrent_sessions FROM organizations o WHERE o.id = a.id), a.concurrent));
END;
$$;
