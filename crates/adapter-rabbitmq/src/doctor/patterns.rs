//! Whether a name matches a pattern of the broker, as far as that is certain without an engine
//! for Perl's regular expressions: literal characters, `.`, `*`, `^`, `$`, escaped punctuation, `[.]`,
//! and `|` between such, in one pair of brackets or none.

/// `None` if the pattern has anything else. The broker looks for it anywhere in the name.
pub(super) fn matches(pattern: &str, name: &str) -> Option<bool> {
    let (anchor, inner, end) = without_brackets(pattern);
    let mut is_match = false;
    for alternative in inner.split('|') {
        let atoms = atoms(&format!("{anchor}{alternative}{end}"))?;
        is_match |= found(&atoms, name);
    }
    Some(is_match)
}

/// `^(a|b)$` is `^a$|^b$`.
fn without_brackets(pattern: &str) -> (&str, &str, &str) {
    let (anchor, rest) = match pattern.strip_prefix('^') {
        Some(rest) => ("^", rest),
        None => ("", pattern),
    };
    let (inner, end) = match rest.strip_suffix('$') {
        Some(inner) => (inner, "$"),
        None => (rest, ""),
    };
    match inner.strip_prefix('(').and_then(|it| it.strip_suffix(')')) {
        Some(inner) => (anchor, inner, end),
        None => ("", pattern, ""),
    }
}

#[derive(Clone, Copy)]
enum Atom {
    Start,
    End,
    One(Character),
    Many(Character),
}

#[derive(Clone, Copy)]
enum Character {
    Any,
    Is(char),
}

impl Character {
    fn takes(self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::Is(wanted) => wanted == c,
        }
    }
}

fn atoms(pattern: &str) -> Option<Vec<Atom>> {
    let mut atoms = Vec::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        let atom = match c {
            '^' => Atom::Start,
            '$' => Atom::End,
            '.' => Atom::One(Character::Any),
            '*' => match atoms.pop()? {
                Atom::One(character) => Atom::Many(character),
                Atom::Start | Atom::End | Atom::Many(_) => return None,
            },
            '\\' => match characters.next()? {
                escaped if escaped.is_ascii_punctuation() => Atom::One(Character::Is(escaped)),
                _ => return None,
            },
            // `[.]`, which is how some escape a dot.
            '[' => match (characters.next()?, characters.next()?) {
                (only, ']') if only != '^' => Atom::One(Character::Is(only)),
                _ => return None,
            },
            '(' | ')' | ']' | '{' | '}' | '+' | '?' => return None,
            _ => Atom::One(Character::Is(c)),
        };
        atoms.push(atom);
    }
    Some(atoms)
}

fn found(atoms: &[Atom], name: &str) -> bool {
    // Which atoms may be next, before each character: no pattern takes long.
    let mut here = vec![false; atoms.len() + 1];
    let mut characters = name.chars();
    let mut is_start = true;
    loop {
        here[0] = true;
        let next_character = characters.next();
        for at in 0..atoms.len() {
            here[at + 1] |= here[at]
                && match atoms[at] {
                    Atom::Start => is_start,
                    Atom::End => next_character.is_none(),
                    Atom::Many(_) => true,
                    Atom::One(_) => false,
                };
        }
        if here[atoms.len()] {
            return true;
        }
        let Some(c) = next_character else {
            return false;
        };
        let mut after = vec![false; atoms.len() + 1];
        for (at, atom) in atoms.iter().enumerate().filter(|(at, _)| here[*at]) {
            match atom {
                Atom::One(character) if character.takes(c) => after[at + 1] = true,
                Atom::Many(character) if character.takes(c) => after[at] = true,
                _ => {}
            }
        }
        here = after;
        is_start = false;
    }
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
