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

/// Trims `text`, and gives it back if its characters number `min..=max` and none is a control character.
pub(crate) fn text(text: &str, min: usize, max: usize) -> Option<String> {
    let text = text.trim();
    let length = text.chars().count();
    let fits = (min..=max).contains(&length) && !text.chars().any(char::is_control);
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
}
