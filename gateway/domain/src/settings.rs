//! Settings of a seal: what is wanted and what the device reports, within the ranges of MGMT-1.

use crate::RuleError;

/// Settings a manager chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Seconds the screen stays lit; 0 = always.
    pub backlight_s: u16,
    /// Minutes until automatic power-off; 0 = never.
    pub auto_off_min: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backlight_s: 30,
            auto_off_min: 10,
        }
    }
}

/// Something the page should say about settings that are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsWarning {
    /// The screen wears out: always on, or on for more than a minute.
    ScreenLife,
}

impl Settings {
    /// Checks the ranges.
    ///
    /// # Errors
    /// Backlight over 180 s, automatic power-off over 30 min.
    pub fn check(self) -> Result<Self, RuleError> {
        if self.backlight_s > 180 {
            return Err(RuleError::BacklightOutOfRange);
        }
        if self.auto_off_min > 30 {
            return Err(RuleError::AutoOffOutOfRange);
        }
        Ok(self)
    }

    /// What to warn of.
    #[must_use]
    pub fn warning(self) -> Option<SettingsWarning> {
        (self.backlight_s == 0 || self.backlight_s > 60).then_some(SettingsWarning::ScreenLife)
    }
}

/// Can people read it: does it show anything, and is it free of control characters?
#[must_use]
pub fn is_readable(text: &str) -> bool {
    text.chars().any(is_visible) && !text.chars().any(char::is_control)
}

/// Not a space, a control, or a character that only steers how others are shown.
fn is_visible(c: char) -> bool {
    let steers = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !(steers || c.is_whitespace() || c.is_control())
}

/// Trims `text`, and gives it back if its characters number `min..=max` and none is a control character. Where
/// something must be said it must be seen, too.
pub(crate) fn text(text: &str, min: usize, max: usize) -> Option<String> {
    let text = text.trim();
    let length = text.chars().count();
    let fits = (min..=max).contains(&length) && !text.chars().any(char::is_control);
    let fits = fits && (min == 0 || text.chars().any(is_visible));
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_keep_their_ranges() {
        let of = |backlight_s, auto_off_min| {
            Settings {
                backlight_s,
                auto_off_min,
            }
            .check()
        };
        assert!(of(0, 0).is_ok());
        assert!(of(180, 30).is_ok());
        assert_eq!(of(181, 0), Err(RuleError::BacklightOutOfRange));
        assert_eq!(of(0, 31), Err(RuleError::AutoOffOutOfRange));
    }

    #[test]
    fn a_long_or_endless_backlight_warns() {
        let warning = |backlight_s| {
            Settings {
                backlight_s,
                auto_off_min: 0,
            }
            .warning()
        };
        assert_eq!(warning(60), None);
        assert_eq!(warning(61), Some(SettingsWarning::ScreenLife));
        assert_eq!(warning(0), Some(SettingsWarning::ScreenLife));
    }

    #[test]
    fn text_is_trimmed_counted_in_characters_and_free_of_controls() {
        assert_eq!(text("  公章 ", 1, 2), Some("公章".to_owned()));
        assert_eq!(text("   ", 1, 2), None);
        assert_eq!(text("a\nb", 1, 9), None);
    }

    #[test]
    fn a_name_that_shows_nothing_is_no_name() {
        for invisible in [
            "\u{200b}",
            "\u{2060}\u{feff}",
            "\u{202e} \u{202c}",
            "\u{3164}",
        ] {
            assert_eq!(text(invisible, 1, 9), None, "{invisible:?}");
            assert!(!is_readable(invisible));
        }
        assert_eq!(text("a\u{200d}b", 1, 9), Some("a\u{200d}b".to_owned()));
        assert_eq!(text("", 0, 9), Some(String::new()));
        assert!(is_readable("GL-0001") && !is_readable("GL\t1"));
    }
}
