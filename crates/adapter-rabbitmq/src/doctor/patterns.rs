//! Whether a name matches a pattern of the broker, as far as that is certain: the broker takes
//! Perl's regular expressions, of which other engines understand a part in the same way.

use std::sync::LazyLock;

use regex_lite::Regex;

/// That part: literal characters, `.`, `*`, `^`, `$`, escaped punctuation, `[.]`, and `|` between
/// such, in one pair of brackets or none.
static UNDERSTOOD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let character = r"([^\\^$.|*+?(){}\[\]]|\.|\\[!-/:;=?@\[-`{-~]|\[[^\^\\\[|]\])";
    let alternative = format!(r"([\^$]|{character}\*?)*");
    let alternatives = format!(r"{alternative}(\|{alternative})*");
    Regex::new(&format!(r"^(\^?\({alternatives}\)\$?|{alternatives})$")).ok()
});

/// `None` if the pattern has anything else. The broker looks for it anywhere in the name.
pub(super) fn matches(pattern: &str, name: &str) -> Option<bool> {
    let understood = UNDERSTOOD.as_ref()?.is_match(pattern).then_some(pattern)?;
    Some(Regex::new(understood).ok()?.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_would_match_matches() {
        for (pattern, name, expected) in [
            (".*", "tickets.dead", Some(true)),
            ("", "anything", Some(true)),
            ("^tickets", "tickets.dead", Some(true)),
            ("^tickets", "my-tickets", Some(false)),
            ("tickets", "my-tickets.dead", Some(true)),
            ("tickets$", "tickets.dead", Some(false)),
            ("^tickets$", "tickets", Some(true)),
            (r"^tickets\.dead$", "tickets.dead", Some(true)),
            (r"^tickets\.dead$", "tickets-dead", Some(false)),
            ("^tickets.dead$", "tickets-dead", Some(true)),
            ("^(amq.gen.*|sale-.*)$", "amq.gen-x", Some(true)),
            ("^(amq.gen.*|sale-.*)$", "sale-tickets", Some(true)),
            ("^(amq.gen.*|sale-.*)$", "my-sale-tickets", Some(false)),
            ("^sale-|^amq", "my-amq", Some(false)),
            ("^a*b", "aaab", Some(true)),
            ("^a*b", "b", Some(true)),
            ("^a*$", "ab", Some(false)),
            ("a.*b.*c", "xaxbxc", Some(true)),
            ("^tickets[.]dead$", "tickets.dead", Some(true)),
            ("^tickets[.]dead$", "tickets-dead", Some(false)),
            ("^[a-z]*$", "tickets", None),
            ("^[^]", "tickets", None),
            (r"^\w*$", "tickets", None),
            ("^(a(b)|c)", "ab", None),
            ("(?i)TICKETS", "tickets", None),
            ("a+", "a", None),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
