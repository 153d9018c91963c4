//! A calendar date in UTC, for overrides that expire.

use crate::clock::Timestamp;
use std::fmt;

const MILLIS_PER_DAY: u64 = 86_400_000;

/// A day of the Gregorian calendar, in UTC. Ordered; shown as `2026-11-23`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The date if there is such a day.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Self { year, month, day })
    }

    /// Reads `YYYY-MM-DD` and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() });
        if !shaped {
            return None;
        }
        Self::new(text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?)
    }

    /// The day of a moment, in UTC. A moment beyond the year 9999 is the last day of 9999.
    pub fn of(moment: Timestamp) -> Self {
        // Counting in eras of 400 years from 1 March, so that the leap day is the last day of a year.
        let days = moment.millis() / MILLIS_PER_DAY + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let parts = (u16::try_from(year).ok().filter(|year| *year <= 9999), u8::try_from(month), u8::try_from(day));
        match parts {
            (Some(year), Ok(month), Ok(day)) => Self { year, month, day },
            _ => Self { year: 9999, month: 12, day: 31 },
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_fall_on_their_days() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_763_856_000, "2025-11-23"),
            (4_107_542_400, "2100-03-01"),
            (u64::MAX / 1000, "9999-12-31"),
        ] {
            assert_eq!(Date::of(Timestamp::from_millis(seconds * 1000)).to_string(), expected, "{seconds}");
        }
    }

    #[test]
    fn only_days_that_exist_are_read() {
        for (text, expected) in [
            ("2026-11-23", true),
            ("2024-02-29", true),
            ("2026-02-29", false),
            ("2100-02-29", false),
            ("2026-13-01", false),
            ("2026-00-01", false),
            ("2026-04-31", false),
            ("2026-1-1", false),
            ("tomorrow", false),
            ("２026-11-2", false),
        ] {
            assert_eq!(Date::parse(text).map(|date| date.to_string()), expected.then(|| text.to_owned()), "{text}");
        }
        assert!(Date::parse("2026-11-23") < Date::parse("2026-12-01"));
    }
}
