//! What every store does, whichever its engine: one suite, written against the port.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may panic")]

#[path = "conformance/claims.rs"]
mod claims;
#[path = "conformance/commits.rs"]
mod commits;
#[path = "conformance/creation.rs"]
mod creation;
#[path = "conformance/drafts.rs"]
mod drafts;
#[path = "conformance/events.rs"]
mod events;
#[path = "conformance/keys.rs"]
mod keys;
#[path = "conformance/listing.rs"]
mod listing;
#[path = "conformance/memories.rs"]
mod memories;
#[path = "conformance/nul.rs"]
mod nul;
#[path = "conformance/opening.rs"]
mod opening;
#[path = "conformance/retention.rs"]
mod retention;
#[path = "conformance/scripts.rs"]
mod scripts;
#[path = "conformance/shared.rs"]
mod shared;
#[path = "conformance/sharing.rs"]
mod sharing;
#[path = "conformance/sign_ins.rs"]
mod sign_ins;
#[path = "conformance/single.rs"]
mod single;
#[path = "conformance/slots.rs"]
mod slots;
#[path = "conformance/world.rs"]
mod world;

/// One engine through the whole suite.
macro_rules! store_suite {
    ($engine:ident, $open:expr) => {
        tests! { $engine, $open;
            creation::a_created_session_reads_back,
            creation::an_unknown_session_is_none,
            creation::a_session_cannot_be_created_twice,
            creation::a_session_created_with_an_owner_is_its_own_from_the_first_epoch,
            creation::a_key_with_the_same_body_repeats_the_first_answer,
            creation::a_key_with_another_body_creates_nothing,
            creation::a_key_of_another_organization_is_another_key,
            creation::a_key_is_free_again_after_a_day_and_not_before,
            creation::what_a_key_was_answered_can_be_asked_for,
            creation::a_sweep_removes_keys_past_their_day_and_no_others,
            creation::of_fifty_creations_at_once_with_one_key_one_creates,
            creation::many_creations_at_once_all_arrive,
            creation::active_sessions_are_those_that_hold_a_slot,
            commits::of_two_commits_on_one_version_one_wins,
            commits::of_twenty_commits_at_once_on_one_version_one_wins,
            commits::a_refused_commit_leaves_nothing_behind,
            commits::a_commit_on_an_unknown_session_is_a_conflict,
            commits::a_holder_commits_and_stays_owner,
            commits::a_commit_of_an_old_epoch_is_refused,
            commits::a_commit_of_another_owner_is_refused,
            commits::a_release_with_a_commit_lets_go,
            commits::a_take_makes_an_owner_in_a_new_epoch,
            commits::a_handlers_commit_leaves_the_owner,
            commits::messages_wait_in_order_until_they_are_delivered,
            commits::only_delivered_messages_leave_the_inbox,
            commits::large_messages_are_read_in_portions,
            commits::hundreds_of_commits_at_once_all_arrive,
            commits::a_commit_with_thousands_of_events_arrives_whole,
            claims::only_what_is_due_is_claimed,
            claims::the_longest_due_is_claimed_first,
            claims::a_claim_takes_no_more_than_its_limit,
            claims::a_claimed_session_is_not_claimed_again_by_its_owner,
            claims::two_claims_at_once_never_get_the_same,
            claims::a_timer_beyond_the_year_9999_is_not_due,
            claims::a_released_session_can_be_claimed_again,
            claims::a_release_under_an_old_lease_changes_nothing,
            claims::a_session_that_moved_on_is_not_released,
            claims::a_retired_replica_owns_nothing,
            claims::the_next_due_is_the_earliest_that_nobody_owns,
            claims::whatever_moves_the_owner_moves_the_version,
            claims::a_replica_is_told_what_it_owns_and_must_look_at,
            claims::only_a_claim_from_an_owner_who_had_not_let_go_takes_over,
            events::indexes_are_dense_over_many_commits,
            events::events_read_back_word_for_word,
            events::events_from_an_index_stop_at_the_limit_and_at_the_end,
            events::large_events_are_read_in_portions,
            events::pages_count_from_both_ends,
            events::a_page_past_the_end_is_empty_and_still_counts,
            events::a_type_filter_counts_only_its_type,
            events::an_unknown_session_has_no_events,
            listing::the_newest_session_comes_first_unless_asked_otherwise,
            listing::sessions_of_the_same_moment_have_one_order,
            listing::pages_part_the_list,
            listing::another_organization_sees_nothing,
            listing::each_filter_picks_its_sessions,
            listing::filters_must_all_match,
            listing::date_bounds_are_strict,
            listing::search_ignores_case_in_any_script,
            listing::search_takes_percent_and_underscore_as_they_are,
            listing::search_finds_answers_too,
            listing::totals_follow_what_is_created_and_what_becomes_of_it,
            listing::totals_forget_what_was_deleted,
            listing::search_takes_long_texts,
            listing::a_line_tells_agent_revision_and_first_message,
            keys::a_key_names_its_caller_until_it_is_revoked,
            keys::keys_of_the_same_names_share_organization_and_user,
            keys::the_same_hash_again_changes_nothing,
            keys::keys_are_listed_oldest_first,
            keys::an_unknown_key_cannot_be_revoked,
            sharing::the_last_word_on_a_session_counts,
            sharing::every_event_has_its_own_rating,
            sharing::a_shared_session_keeps_its_first_token,
            sharing::an_ended_share_is_gone_with_its_token,
            sharing::of_twenty_shares_at_once_all_get_one_token,
            scripts::a_script_is_kept_under_its_hash,
            scripts::the_sessions_of_one_organization_are_removed_and_no_others,
            sign_ins::a_key_signs_in_until_it_is_revoked,
            sign_ins::a_link_signs_in_once_and_soon,
            sign_ins::a_sign_in_ends_a_week_after_its_last_use_and_after_a_month,
            sign_ins::signing_out_ends_one_or_all_of_a_key,
            sign_ins::of_too_many_sign_ins_the_one_used_longest_ago_goes,
            memories::a_value_stays_until_it_is_replaced_or_removed,
            memories::each_namespace_of_each_organization_is_its_own,
            memories::keys_are_listed_by_their_bytes_behind_a_prefix,
            memories::a_full_memory_takes_no_new_key_and_still_replaces,
            memories::of_many_new_keys_at_once_no_more_are_stored_than_fit,
            slots::of_a_hundred_creations_at_once_as_many_get_in_as_there_are_slots,
            slots::of_a_hundred_that_would_wait_as_many_do_as_there_are_places,
            slots::a_queued_session_is_nobodys_and_has_one_event,
            slots::a_refused_creation_leaves_nothing_behind_and_its_key_free,
            slots::a_key_repeats_that_its_session_was_queued,
            slots::a_free_slot_belongs_to_those_who_wait,
            slots::of_promotions_at_once_as_many_go_through_as_there_are_slots,
            slots::a_promotion_that_comes_too_late_takes_no_slot,
            slots::a_restart_needs_a_slot,
            slots::a_session_that_works_for_another_counts_and_is_never_refused,
            slots::the_backlog_names_the_oldest_that_have_a_slot,
            slots::a_limit_of_its_own_goes_before_the_servers,
            nul::nul_in_messages_and_results_survives,
            nul::nul_in_a_message_does_not_disturb_search,
            nul::nul_in_a_label_fails_alone_and_crashes_nothing,
        }
    };
}

macro_rules! tests {
    ($engine:ident, $open:expr; $($area:ident :: $name:ident),+ $(,)?) => {
        mod $engine {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let world = $open().await;
                    crate::world::within_a_minute(crate::$area::$name(&*world.store)).await;
                    world.store.close().await;
                }
            )+
        }
    };
}

store_suite!(sqlite_file, crate::world::sqlite_file);
store_suite!(sqlite_in_memory, crate::world::sqlite_in_memory);
store_suite!(postgres, crate::world::postgres);
store_suite!(memory, crate::world::memory);
store_suite!(faultless, crate::world::faultless);
