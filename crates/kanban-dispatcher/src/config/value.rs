//! Values that say what they allow: each reader's error names the range, and TOML adds key and line.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

use crate::worker::template;

/// Long enough for any operator, short enough that adding it to a clock cannot overflow.
const SECONDS_MAX: f64 = 10.0 * 365.0 * 86_400.0;

pub(super) fn interval<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    seconds(d, 0.01, "a number of seconds, at least 0.01")
}

pub(super) fn seconds_or_zero<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    seconds(d, 0.0, "a number of seconds, at least 0")
}

pub(super) fn whole_seconds<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    whole(d, 1, "a whole number of seconds, at least 1")
}

pub(super) fn whole_seconds_or_zero<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    whole(d, 0, "a whole number of seconds, at least 0")
}

pub(super) fn milliseconds<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    let ms = whole(d, 1, "a whole number of milliseconds, at least 1")?;
    Ok(Duration::from_millis(ms.unsigned_abs()))
}

/// A name; blank is none.
pub(super) fn name<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(d)?.trim().to_owned();
    Ok(Some(name).filter(|name| !name.is_empty()))
}

pub(super) fn command<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    let words = Vec::<String>::deserialize(d)?;
    if words.first().is_none_or(String::is_empty) {
        return Err(D::Error::custom(
            "allowed is a list of words with at least the program",
        ));
    }
    for word in &words {
        template::check(word).map_err(D::Error::custom)?;
    }
    Ok(Some(words))
}

fn seconds<'de, D>(d: D, min: f64, allowed: &'static str) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let value = d.deserialize_any(Number { allowed })?;
    if (min..=SECONDS_MAX).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(D::Error::invalid_value(Unexpected::Float(value), &allowed))
}

fn whole<'de, D>(d: D, min: i64, allowed: &'static str) -> Result<i64, D::Error>
where
    D: Deserializer<'de>,
{
    let value = i64::deserialize(d)?;
    if (min..=SECONDS_MAX as i64).contains(&value) {
        return Ok(value);
    }
    Err(D::Error::invalid_value(Unexpected::Signed(value), &allowed))
}

struct Number {
    allowed: &'static str,
}

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.allowed)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }
}
