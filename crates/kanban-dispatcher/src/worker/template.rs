//! The words of a configured worker command, with their placeholders.

/// What a command word may refer to.
pub(crate) const PLACEHOLDERS: &[&str] = &[
    "{task}",
    "{board}",
    "{profile}",
    "{run}",
    "{db}",
    "{workspace}",
    "{root}",
];

/// Accepts a word whose braces are all placeholders.
pub(crate) fn check(word: &str) -> Result<(), String> {
    let mut rest = word;
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let Some(found) = PLACEHOLDERS.iter().find(|name| rest.starts_with(**name)) else {
            let allowed = PLACEHOLDERS.join(" ");
            return Err(format!(
                "unknown placeholder in \"{word}\", allowed are {allowed}"
            ));
        };
        rest = &rest[found.len()..];
    }
    Ok(())
}

/// Fills the placeholders of one word in one pass, so that a value with braces is not filled again.
pub(crate) fn fill(word: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        rest = &rest[start..];
        match PLACEHOLDERS.iter().find(|name| rest.starts_with(**name)) {
            Some(name) => {
                filled.push_str(&value(name));
                rest = &rest[name.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_braces_is_not_filled_again() {
        let filled = fill("--id={task}/{run}", |name| match name {
            "{task}" => "{run}".to_owned(),
            _ => "7".to_owned(),
        });
        assert_eq!(filled, "--id={run}/7");
    }

    #[test]
    fn only_known_placeholders_pass() {
        assert!(check("a{task}b{run}").is_ok());
        assert!(check("{tsk}").unwrap_err().contains("{workspace}"));
    }
}
