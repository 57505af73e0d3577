//! What hostile clients try, over TCP. `docs/SECURITY.md` has the table: who tries what, and which
//! of these tests, and of those elsewhere, shows that it is in vain.

mod crowd;
mod floods;
mod forged_ids;
mod forged_tokens;
mod hostile_values;
mod injection;
mod others_rights;
mod replays;
mod smuggling;
mod spellings;
