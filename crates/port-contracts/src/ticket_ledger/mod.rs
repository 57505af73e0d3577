//! The contract of [`domain::ports::TicketLedger`]. After every case the whole
//! history of every show is replayed ([`domain::audit`]).

mod batches;
mod changing;
mod reading;
mod terms;

pub use batches::*;
pub use changing::*;
pub use reading::*;
pub use terms::*;

contract!($ ticket_ledger_contract, ticket_ledger, [
    // Batches of orders
    arrival_order_is_decision_order,
    batches_of_any_size_are_decided_whole,
    never_oversells_under_64_concurrent_deciders,
    a_replayed_id_returns_the_first_verdict,
    the_same_id_twice_in_one_batch_takes_one_seat,
    the_same_id_in_batches_at_once_takes_one_seat,
    another_order_under_a_known_id_is_a_conflict_and_stores_nothing,
    a_batch_is_seen_whole_or_not_at_all,
    deciding_given_up_midway_happened_whole_or_not_at_all,
    unknown_users_and_shows_are_verdicts,
    the_limit_counts_live_seats,
    the_sales_window_is_judged_by_when_the_order_was_accepted,
    a_due_hold_makes_room_for_the_next_order,
    // Confirming, cancelling, expiring
    confirming_sells_held_seats_once,
    cancelled_seats_are_sold_again,
    expired_seats_are_sold_again,
    each_request_has_an_outcome_of_its_own,
    a_ticket_of_somebody_else_stays_as_it_is,
    requests_for_one_ticket_count_in_sequence,
    confirm_and_expiry_meet_at_the_exact_instant,
    confirm_and_expiry_never_both_win,
    concurrent_confirms_and_cancels_add_up,
    a_transition_given_up_midway_happened_whole_or_not_at_all,
    a_sweep_expires_the_longest_over_first,
    // Terms of sale
    capacity_below_held_and_sold_is_refused,
    capacity_changes_while_orders_are_decided,
    new_terms_are_journaled_and_rule_the_next_order,
    terms_that_cannot_be_change_nothing,
    // Locks and reading
    the_clock_is_read_under_the_lock,
    reading_waits_for_no_lock,
    decided_tickets_are_found_by_id,
    a_users_tickets_are_listed_newest_first,
    the_history_comes_in_pages_without_a_gap,
]);
