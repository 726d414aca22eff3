use super::*;
use quarterdeck_api::{OrganizationId, UserId};
use quarterdeck_core::{Command, Effect, Settings};
use quarterdeck_store::ReplicaId;
use uuid::Uuid;

const NOBODY: Owner = Owner { replica: None, epoch: 1 };
const WORKER: Owner = Owner { replica: Some(ReplicaId(Uuid::from_u128(7))), epoch: 1 };

fn created() -> Session {
    let (id, now) = (SessionId(Uuid::from_u128(1)), chrono::DateTime::UNIX_EPOCH);
    let (organization, user) = (OrganizationId(Uuid::from_u128(2)), UserId(Uuid::from_u128(3)));
    Session::create(id, organization, user, Settings::default(), false, now).session
}

fn paused(session: &Session) -> Transition {
    match session.command(Command::Pause, session.created_at) {
        Ok(Effect::Changed(transition)) => *transition,
        other => panic!("{other:?}"),
    }
}

fn read(session: &Session, owner: Owner) -> Snapshot {
    Snapshot::stored(StoredSession { session: session.clone(), owner })
}

fn commit(notifier: &Notifier, transition: &Transition) {
    let id = transition.session.id;
    notifier.publish(id, |before| Snapshot::committed(before, transition.clone(), WORKER));
}

#[test]
fn what_was_read_before_a_session_was_forgotten_is_not_kept() {
    let (notifier, session) = (Notifier::new(), created());
    let watch = notifier.watch(session.id);
    let mark = notifier.mark(session.id);
    let before = read(&session, WORKER);
    commit(&notifier, &paused(&session));
    notifier.forget(session.id);
    assert!(!notifier.publish_read(session.id, mark, &before), "it has to be read again");
    assert!(watch.snapshot().is_none());

    let mark = notifier.mark(session.id);
    let after = read(&paused(&session).session, NOBODY);
    assert!(notifier.publish_read(session.id, mark, &after));
    assert_eq!(watch.snapshot().unwrap().owner, NOBODY);
}

#[test]
fn a_commit_that_is_told_late_does_not_come_back_after_forgetting() {
    let (notifier, session) = (Notifier::new(), created());
    let watch = notifier.watch(session.id);
    let first = paused(&session);
    commit(&notifier, &first);
    notifier.forget(session.id);
    commit(&notifier, &first);
    assert!(watch.snapshot().is_none(), "who owns it is not known any more");
}

#[test]
fn an_older_snapshot_never_replaces_a_newer_one() {
    let (notifier, session) = (Notifier::new(), created());
    let watch = notifier.watch(session.id);
    let mark = notifier.mark(session.id);
    commit(&notifier, &paused(&session));
    assert!(notifier.publish_read(session.id, mark, &read(&session, WORKER)), "nothing was forgotten");
    assert_eq!(watch.snapshot().unwrap().session.version, 2);
}

#[test]
fn a_session_nobody_watches_is_not_kept() {
    let (notifier, session) = (Notifier::new(), created());
    drop(notifier.watch(session.id));
    let mark = notifier.mark(session.id);
    assert!(notifier.publish_read(session.id, mark, &read(&session, NOBODY)));
    assert!(notifier.snapshot(session.id).is_none());
}
