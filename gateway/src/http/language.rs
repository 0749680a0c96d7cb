//! Which of the two languages an answer is written in: by `Accept-Language`, Chinese when there is none, English when it
//! names other languages only.

use std::cmp::Ordering;

use axum::http::{HeaderMap, header};

use crate::app::Words;

/// A language of what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Language {
    /// Simplified Chinese.
    #[default]
    Chinese,
    /// English.
    English,
}

impl Language {
    /// The tag of `Content-Language`.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh",
            Self::English => "en",
        }
    }

    /// The words in this language.
    pub(crate) fn of_words(self, words: &Words) -> &str {
        match self {
            Self::Chinese => words.chinese(),
            Self::English => words.english(),
        }
    }

    /// By `Accept-Language`: the highest weight wins, the first of equals. `*` speaks for ours that are not named, once
    /// one of them is; alone it is as good as no header.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let ranges: Vec<(Range, u16)> = headers
            .get_all(header::ACCEPT_LANGUAGE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(parse)
            .collect();
        let weight = |wanted: Range| {
            let found = ranges.iter().find(|(range, _)| *range == wanted);
            found.map(|(_, weight)| *weight)
        };
        let (chinese, english) = (weight(Range::Chinese), weight(Range::English));
        if chinese.or(english).is_none() {
            let others = ranges.iter().any(|(range, _)| *range == Range::Other);
            return if others { Self::English } else { Self::Chinese };
        }
        let any = weight(Range::Any).unwrap_or(0);
        let (of_chinese, of_english) = (chinese.unwrap_or(any), english.unwrap_or(any));
        let first = ranges
            .iter()
            .find(|(range, _)| matches!(range, Range::Chinese | Range::English));
        let english_first = first.is_some_and(|(range, _)| *range == Range::English);
        match of_chinese.cmp(&of_english) {
            Ordering::Greater => Self::Chinese,
            Ordering::Less => Self::English,
            // Neither is wanted: whichever was not ruled out by name.
            Ordering::Equal if of_english == 0 && chinese.is_some() => Self::English,
            Ordering::Equal if of_english == 0 => Self::Chinese,
            Ordering::Equal if english_first => Self::English,
            Ordering::Equal => Self::Chinese,
        }
    }
}

/// What a range of languages names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    Chinese,
    English,
    Other,
    Any,
}

/// One range and its weight in thousandths.
fn parse(range: &str) -> Option<(Range, u16)> {
    let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
    let primary = tag.trim().split('-').next().unwrap_or_default();
    let named = match primary.to_ascii_lowercase().as_str() {
        "" => return None,
        "zh" => Range::Chinese,
        "en" => Range::English,
        "*" => Range::Any,
        _ => Range::Other,
    };
    let weight = match parameters.trim().strip_prefix("q=") {
        None => 1000,
        Some(text) => thousandths(text)?,
    };
    Some((named, weight))
}

fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, value.parse().unwrap());
        Language::of(&headers)
    }

    #[test]
    fn chinese_is_spoken_unless_english_is_preferred() {
        assert_eq!(Language::of(&HeaderMap::new()), Language::Chinese);
        assert_eq!(of("en"), Language::English);
        assert_eq!(of("en-US,en;q=0.9,zh;q=0.8"), Language::English);
        assert_eq!(of("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(of("fr, en;q=0.5"), Language::English);
        assert_eq!(of("en;q=0.1, *;q=0.2"), Language::Chinese);
        assert_eq!(of("zh;q=0.1, *;q=0.2"), Language::English);
        assert_eq!(of("en;q=nonsense"), Language::Chinese);
        assert_eq!(of("en;q=0"), Language::Chinese);
        assert_eq!(of("zh;q=0"), Language::English);
        assert_eq!(of("zh, en"), Language::Chinese);
        assert_eq!(of("en, zh"), Language::English);
    }

    #[test]
    fn whoever_names_other_languages_only_is_answered_in_english() {
        assert_eq!(of("fr"), Language::English);
        assert_eq!(of("de-DE,de;q=0.9,fr;q=0.5"), Language::English);
        assert_eq!(of("fr, *;q=0.5"), Language::English);
        assert_eq!(of("*"), Language::Chinese, "as good as none");
        assert_eq!(of(""), Language::Chinese);
    }
}
