//! Kubernetes quantities: `100m`, `0.5`, `1Gi`, `1e3`. Compared by value, printed in Go's canonical form.
//!
//! A value is kept in billionths, rounded up; binary ones are capped at 2^63-1 as in Kubernetes.

use std::cmp::Ordering;
use std::fmt;

const NANO: i128 = 1_000_000_000;
/// Largest value with a binary suffix.
const MAX_BINARY: i128 = i64::MAX as i128 * NANO;
/// Largest value at all: far beyond what any resource can be.
const MAX: i128 = i128::MAX / 10;

/// An amount of a resource.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nano: i128,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

/// Text that is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity such as 500m, 1.5 or 2Gi")]
pub struct InvalidQuantity(pub String);

impl Quantity {
    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        parse(text).ok_or_else(|| InvalidQuantity(text.to_owned()))
    }
}

/// The text that Go writes for a quantity that it read as `text`: a short text that is canonical up to its sign and
/// leading zeros stays as it is, others are printed anew.
pub fn canonical(text: &str) -> Result<String, InvalidQuantity> {
    let quantity = Quantity::parse(text)?;
    let kept = quantity.nano != 0 && is_kept(text, quantity.format);
    Ok(if kept { text.to_owned() } else { quantity.to_string() })
}

fn is_kept(text: &str, format: Format) -> bool {
    let number = text.trim_start_matches(['+', '-']);
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
    let (number, suffix) = number.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.trim_start_matches('0');
    let Some((_, two, ten)) = unit(suffix) else { return false };
    let length = |text: &str| i32::try_from(text.len()).unwrap_or(i32::MAX);
    if format == Format::Binary {
        let room = 14 - length(whole) - i32::try_from(two * 3 / 10).unwrap_or(i32::MAX);
        let odd = whole.parse::<u64>().is_ok_and(|value| value & 7 != 0);
        return fraction.is_empty() && room >= 0 && odd;
    }
    let digits = [if whole.is_empty() { "0" } else { whole }, fraction].concat();
    let scale = ten.saturating_sub(length(fraction));
    length(&digits) <= 18
        && scale >= -9
        && scale % 3 == 0
        && !digits.ends_with("000")
        && !digits.starts_with('0')
}

fn parse(text: &str) -> Option<Quantity> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let (format, two, ten) = unit(suffix)?;
    let digits = whole.bytes().chain(fraction.bytes()).map(|digit| i128::from(digit - b'0'));
    let places = i32::try_from(fraction.len()).ok()?;
    let nano = scaled(digits, two, ten.saturating_sub(places).saturating_add(9));
    let nano = if format == Format::Binary { nano.min(MAX_BINARY) } else { nano };
    Some(Quantity { nano: if negative { -nano } else { nano }, format })
}

/// Format, power of two and power of ten of a suffix.
fn unit(suffix: &str) -> Option<(Format, u32, i32)> {
    let decimal = |ten| Some((Format::Decimal, 0, ten));
    let binary = |two| Some((Format::Binary, two, 0));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            Some((Format::Exponent, 0, exponent.parse().ok()?))
        }
    }
}

/// digits × 2^two × 10^ten, rounded away from zero and capped.
fn scaled(digits: impl Iterator<Item = i128>, two: u32, ten: i32) -> i128 {
    // Twenty-nine significant digits exceed the cap with any scale that keeps them; the rest only decides rounding.
    let mut value: i128 = 0;
    let mut dropped: i32 = 0;
    let mut inexact = false;
    for digit in digits {
        if value < 10_i128.pow(28) {
            value = value * 10 + digit;
        } else {
            dropped = dropped.saturating_add(1);
            inexact |= digit != 0;
        }
    }
    if value == 0 {
        return 0;
    }
    let ten = ten.saturating_add(dropped);
    if ten > 38 {
        return MAX;
    }
    if ten >= 0 {
        let factor = 10_i128.pow(ten.unsigned_abs());
        let exact = value.checked_mul(factor).and_then(|v| v.checked_mul(1_i128 << two));
        return exact.map_or(MAX, |v| (v + i128::from(inexact)).min(MAX));
    }
    let mut down = ten.unsigned_abs();
    let mut product = value;
    // Multiply where it fits, divide where it must, remembering what is cut off.
    let mut two = two;
    loop {
        if two > 0 && product < 1_i128 << 100 {
            product <<= 1;
            two -= 1;
        } else if down > 0 {
            inexact |= product % 10 != 0;
            product /= 10;
            down -= 1;
        } else {
            break;
        }
    }
    (product + i128::from(inexact)).min(MAX)
}

impl fmt::Display for Quantity {
    /// Go's canonical form: no fraction, the largest suffix that keeps the number whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nano = self.nano;
        if nano == 0 {
            return f.write_str("0");
        }
        let small = nano.abs() < 1024 * NANO;
        if self.format == Format::Binary && !small && nano % NANO == 0 {
            const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let mut value = nano / NANO;
            let mut suffixes = SUFFIXES.iter();
            let mut suffix = suffixes.next().copied().unwrap_or_default();
            while value % 1024 == 0
                && let Some(next) = suffixes.next()
            {
                value /= 1024;
                suffix = next;
            }
            return write!(f, "{value}{suffix}");
        }
        let mut value = nano;
        let mut exponent = -9;
        while value % 1000 == 0 && exponent < 18 {
            value /= 1000;
            exponent += 3;
        }
        if self.format == Format::Exponent {
            return match exponent {
                0 => write!(f, "{value}"),
                _ => write!(f, "{value}e{exponent}"),
            };
        }
        let suffix = match exponent {
            -9 => "n",
            -6 => "u",
            -3 => "m",
            3 => "k",
            6 => "M",
            9 => "G",
            12 => "T",
            15 => "P",
            18 => "E",
            _ => "",
        };
        write!(f, "{value}{suffix}")
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}
