//! What a text says, as far as a rule depends on it: a refusal by a provider, a link to a pull request.

/// Whether an error speaks of permission, quota or a limit of a provider: trying again at once would not help.
///
/// The words are the peer's; but a process id in `pid 429` is no refusal.
pub(crate) fn is_refusal(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut before = ' ';
    let mut is_pid = false;
    for (at, c) in text.char_indices() {
        let begins = is_word(c) && !is_word(before);
        before = c;
        if !begins {
            continue;
        }
        let rest = &text[at..];
        if is_phrase(rest, &["pid"], is_space) {
            is_pid = true;
            continue;
        }
        if !std::mem::take(&mut is_pid) && refuses(rest) {
            return true;
        }
        is_pid = false;
    }
    false
}

/// Whether a refusal stands at the beginning of `rest`, to the end of a word.
fn refuses(rest: &str) -> bool {
    const WORDS: [&str; 7] = [
        "quota",
        "429",
        "403",
        "unauthorized",
        "forbidden",
        "billing",
        "subscription",
    ];
    let glue = |c| is_space(c) || c == '_';
    rest.starts_with("auth")
        || WORDS.iter().any(|word| is_phrase(rest, &[word], glue))
        || is_phrase(rest, &["ratelimit"], glue)
        || is_phrase(rest, &["rate", "limit"], |c| glue(c) || c == '-')
        || is_phrase(rest, &["access", "denied"], glue)
        || is_phrase(rest, &["permission", "denied"], glue)
        || is_phrase(rest, &["invalid", "api", "key"], glue)
}

/// Whether `rest` begins with these words, one character that is `glue` between them, and ends there or with another word.
fn is_phrase(rest: &str, words: &[&str], glue: impl Fn(char) -> bool) -> bool {
    let mut rest = rest;
    for (n, word) in words.iter().enumerate() {
        if n > 0 {
            match rest.strip_prefix(&glue) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        match rest.strip_prefix(word) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    !rest.starts_with(is_word)
}

/// Whether a comment names a pull request: `https://github.com/OWNER/REPOSITORY/pull/NUMBER`.
pub(crate) fn names_pull_request(text: &str) -> bool {
    const HOST: &str = "://github.com/";
    let text = text.to_ascii_lowercase();
    text.match_indices(HOST).any(|(at, _)| {
        let is_web = text[..at].ends_with("http") || text[..at].ends_with("https");
        let mut parts = text[at + HOST.len()..].splitn(4, '/');
        let mut name = || {
            parts
                .next()
                .is_some_and(|part| !part.is_empty() && !part.contains(char::is_whitespace))
        };
        let is_repository = name() && name();
        is_web
            && is_repository
            && parts.next() == Some("pull")
            && parts
                .next()
                .is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_space(c: char) -> bool {
    c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_known_by_whole_words_and_process_ids_are_none() {
        for text in [
            "quota",
            "over QUOTA now",
            "rate limit",
            "rate_limit",
            "rate-limit.",
            "ratelimit",
            "HTTP 429",
            "(403)",
            "Authentication failed",
            "the authority",
            "401 Unauthorized",
            "forbidden",
            "billing",
            "subscription",
            "access denied",
            "permission_denied: /x",
            "invalid api_key",
            "pid 12 exited: 403",
            "pid 7 auth",
            "pid 429 exited, then HTTP 429",
        ] {
            assert!(is_refusal(text), "{text}");
        }
        for text in [
            "",
            "quotas",
            "quota_exceeded",
            "rate  limit",
            "rate_limited",
            "corporate limit",
            "4290",
            "pid 429 exited with code 1",
            "pid 403 not alive",
            "unauthored",
            "access-denied",
            "permission: denied",
            "invalid key",
            "disk on fire",
        ] {
            assert!(!is_refusal(text), "{text}");
        }
    }

    #[test]
    fn a_pull_request_is_a_whole_address() {
        for text in [
            "https://github.com/o/r/pull/1",
            "see HTTP://GitHub.com/o/r.x/PULL/12/files",
            "https://github.com//r/pull/1 and https://github.com/a/b/pull/7",
        ] {
            assert!(names_pull_request(text), "{text}");
        }
        for text in [
            "github.com/o/r/pull/1",
            "https://github.com/o/r/pull/",
            "https://github.com/o/r/pull/x",
            "https://github.com/o/r/issues/1",
            "https://github.com/o/pull/1",
            "https://github.com/o o/r/pull/1",
            "https://github.com.evil/o/r/pull/1",
            "ftp://github.com/o/r/pull/1",
        ] {
            assert!(!names_pull_request(text), "{text}");
        }
    }
}
