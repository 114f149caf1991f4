//! Scalars as Go's JSON encoder prints them: strings with HTML characters escaped, numbers through double precision.
//! Structure is written by `encode.rs`.

use std::fmt::Write;

use serde_json::Number;

/// Largest integer up to which doubles have no gaps.
const EXACT: u64 = 1 << 53;

/// A number as it is after Go's generic step, which holds every number as a double: integers beyond 2^53 lose digits,
/// very large and very small numbers get an exponent.
pub(super) fn number(out: &mut String, number: &Number) {
    match number.as_i64() {
        Some(integer) if integer.unsigned_abs() <= EXACT => {
            let _ = write!(out, "{integer}");
        }
        _ => double(out, number.as_f64().unwrap_or_default()),
    }
}

/// A number without loss: integers keep their digits.
pub(super) fn exact_number(out: &mut String, number: &Number) {
    if number.is_i64() || number.is_u64() {
        let _ = write!(out, "{number}");
    } else {
        double(out, number.as_f64().unwrap_or_default());
    }
}

fn double(out: &mut String, value: f64) {
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        let _ = write!(out, "{value}");
        return;
    }
    let text = format!("{value:e}");
    // Go writes the sign of the exponent always, and one digit where one is enough: 1e+21, 1e-7.
    let _ = match text.split_once('e') {
        Some((digits, exponent)) if exponent.starts_with('-') => write!(out, "{digits}e{exponent}"),
        Some((digits, exponent)) => write!(out, "{digits}e+{exponent}"),
        None => write!(out, "{text}"),
    };
}

/// Writes a string in quotes.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        // U+2028 and U+2029 are the bytes e2 80 a8 and e2 80 a9.
        let length = match byte {
            b'"' | b'\\' | b'<' | b'>' | b'&' | 0..0x20 => 1,
            0xe2 if matches!(text.as_bytes().get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])) => 3,
            _ => continue,
        };
        out.push_str(text.get(plain..at).unwrap_or_default());
        plain = at + length;
        for character in text.get(at..plain).unwrap_or_default().chars() {
            escape(out, character);
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

fn escape(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        other => {
            let _ = write!(out, "\\u{:04x}", u32::from(other));
        }
    }
}
