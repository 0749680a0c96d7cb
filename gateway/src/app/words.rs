//! What people are told, in both languages: whoever writes the one must write the other.

use std::{borrow::Cow, fmt};

/// A sentence or a part of one, in Chinese and in English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    chinese: Cow<'static, str>,
    english: Cow<'static, str>,
}

impl Words {
    /// Fixed ones.
    #[must_use]
    pub const fn new(chinese: &'static str, english: &'static str) -> Self {
        Self {
            chinese: Cow::Borrowed(chinese),
            english: Cow::Borrowed(english),
        }
    }

    /// The Chinese ones.
    #[must_use]
    pub fn chinese(&self) -> &str {
        &self.chinese
    }

    /// The English ones.
    #[must_use]
    pub fn english(&self) -> &str {
        &self.english
    }
}

impl From<(&'static str, &'static str)> for Words {
    fn from((chinese, english): (&'static str, &'static str)) -> Self {
        Self::new(chinese, english)
    }
}

impl From<(String, String)> for Words {
    fn from((chinese, english): (String, String)) -> Self {
        Self {
            chinese: chinese.into(),
            english: english.into(),
        }
    }
}

/// Logs and the command line are English.
impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english)
    }
}
