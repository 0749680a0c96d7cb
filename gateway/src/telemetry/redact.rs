//! What may be shown of values that identify people or open doors.

use std::fmt;

/// A phone number as it may appear in a log: the first three and the last two digits.
#[derive(Clone, Copy)]
pub struct Phone<'a>(pub &'a str);

impl fmt::Display for Phone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: Vec<char> = self.0.chars().collect();
        if digits.len() < 8 {
            return f.write_str("***");
        }
        let head: String = digits[..3].iter().collect();
        let tail: String = digits[digits.len() - 2..].iter().collect();
        write!(f, "{head}{}{tail}", "*".repeat(digits.len() - 5))
    }
}

impl fmt::Debug for Phone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A URL with the password (and any password in its query) hidden.
#[must_use]
pub fn mask_url(url: &str) -> String {
    let masked = match url.split_once("://") {
        None => url.to_owned(),
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, tail) = rest.split_at(end);
            match authority.rsplit_once('@') {
                Some((user, host)) if user.contains(':') => {
                    let name = user.split(':').next().unwrap_or_default();
                    format!("{scheme}://{name}:***@{host}{tail}")
                }
                _ => url.to_owned(),
            }
        }
    };
    match masked.split_once("password=") {
        None => masked,
        Some((before, after)) => {
            let rest = after.find('&').map_or("", |at| &after[at..]);
            format!("{before}password=***{rest}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_shows_only_its_ends() {
        assert_eq!(Phone("13812345678").to_string(), "138******78");
        assert_eq!(format!("{:?}", Phone("10086")), "***");
    }

    #[test]
    fn a_database_password_is_hidden_wherever_it_stands() {
        assert_eq!(
            mask_url("postgres://seal:s3cret@db:5432/x?sslmode=require"),
            "postgres://seal:***@db:5432/x?sslmode=require"
        );
        assert_eq!(
            mask_url("postgres://db/x?user=a&password=s3cret&b=1"),
            "postgres://db/x?user=a&password=***&b=1"
        );
        assert_eq!(mask_url("sqlite:///var/lib/x.db"), "sqlite:///var/lib/x.db");
        assert_eq!(mask_url("postgres://a:p@q@db/x"), "postgres://a:***@db/x");
    }
}
