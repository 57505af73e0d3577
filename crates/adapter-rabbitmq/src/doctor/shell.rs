//! Commands as an operator types them.

/// As it is typed into a shell.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%_+:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `rabbitmqctl COMMAND -p VHOST ARGUMENTS…`
pub(super) fn rabbitmqctl(command: &str, vhost: &str, arguments: &[&str]) -> String {
    let mut line = format!("rabbitmqctl {command} -p {}", quoted(vhost));
    for argument in arguments {
        line.push(' ');
        line.push_str(&quoted(argument));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(
            rabbitmqctl("clear_policy", "/", &["no limit's"]),
            r"rabbitmqctl clear_policy -p / 'no limit'\''s'"
        );
        assert_eq!(quoted(""), "''");
    }
}
