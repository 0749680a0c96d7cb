//! Topic filters, checked here and nowhere else: UTF-8, no NUL, bounded, wildcards only where they belong, no
//! `$share`.

/// Longest topic or filter.
pub(crate) const MAX_TOPIC: usize = 256;

/// Is this a filter a subscription may carry? `$share` and other `$` filters are not.
pub(crate) fn valid_filter(filter: &str) -> bool {
    if !bounded(filter) || filter.starts_with('$') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let wild = level.contains(['+', '#']);
        let whole = level == "+" || (level == "#" && levels.peek().is_none());
        if wild && !whole {
            return false;
        }
    }
    true
}

/// Does a valid filter select a valid topic?
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

fn bounded(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TOPIC && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked() {
        assert!(!valid_filter(&"x".repeat(MAX_TOPIC + 1)));
        for good in ["#", "+", "a/+/b", "a/#", "+/+"] {
            assert!(valid_filter(good), "{good}");
        }
        for bad in ["", "a#", "a/#/b", "a+/b", "$share/g/a", "a/\0"] {
            assert!(!valid_filter(bad), "{bad}");
        }
    }

    #[test]
    fn filters_select_topics() {
        assert!(matches("a/#", "a"));
        assert!(matches("a/#", "a/b/c"));
        assert!(matches("a/+/c", "a/b/c"));
        assert!(!matches("a/+", "a/b/c"));
        assert!(!matches("a/b", "a"));
        assert!(!matches("a", "a/b"));
    }
}
