//! Kubernetes quantities: `100m`, `0.5`, `1Gi`, `1e3`. Read, compared by value and printed exactly as Go's
//! `resource.Quantity` does it, with as many digits as are given.

use std::cmp::Ordering;
use std::fmt;

/// Exponent of the smallest unit; what is finer is rounded away from zero.
const NANO: i64 = -9;
/// Exponent of the smallest unit of a resource in a pod or claim.
const MILLI: i64 = -3;
/// Largest amount with a binary suffix: 2^63-1.
const LARGEST_BINARY: &[u8] = &[9, 2, 2, 3, 3, 7, 2, 0, 3, 6, 8, 5, 4, 7, 7, 5, 8, 0, 7];
/// Below this amount binary quantities are printed with decimal suffixes.
const SMALLEST_BINARY: u64 = 1024;

/// An amount of a resource. Compared by value; printed as Go prints it after reading it.
#[derive(Clone, Debug)]
pub struct Quantity {
    negative: bool,
    amount: Amount,
    format: Format,
    /// The spelling, where Go considers it canonical enough to keep.
    kept: Option<Box<str>>,
}

/// digits × 10^exponent, without leading and trailing zeros; no digits for zero.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Amount {
    digits: Vec<u8>,
    exponent: i64,
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

/// The parts of a spelling, the integer part without leading zeros but never empty.
struct Spelling<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: Suffix,
    /// Whether any digit was written.
    digits: bool,
}

#[derive(Clone, Copy)]
struct Suffix {
    format: Format,
    /// Power of two.
    two: u32,
    /// Power of ten.
    ten: i32,
}

impl Quantity {
    /// Reads a quantity: everything that Go accepts, a lone sign, point or suffix (zero) included.
    pub fn parse(text: &str) -> Result<Self, InvalidQuantity> {
        Self::read(text).ok_or_else(|| InvalidQuantity(text.to_owned()))
    }

    /// The value in a spelling that is the same for all equal quantities; for comparing, not for users.
    pub fn plain(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let mut digits = self.amount.digits.iter().map(|digit| char::from(b'0' + digit)).peekable();
        if digits.peek().is_none() {
            return "0".to_owned();
        }
        format!("{sign}{}e{}", digits.collect::<String>(), self.amount.exponent)
    }

    /// The value in billionths, finer parts rounded up; as much as 128 bits hold if it is more.
    pub fn billionths(&self) -> i128 {
        let mut amount = self.amount.clone();
        amount.round_up(NANO);
        let zeros = u32::try_from(amount.exponent - NANO).unwrap_or(u32::MAX);
        let digits = amount
            .digits
            .iter()
            .try_fold(0_i128, |sum, digit| sum.checked_mul(10)?.checked_add(i128::from(*digit)));
        let scale = 10_i128.checked_pow(zeros);
        let value = digits.zip(scale).and_then(|(digits, scale)| digits.checked_mul(scale));
        let value = if amount.is_zero() { 0 } else { value.unwrap_or(i128::MAX) };
        if self.negative { -value } else { value }
    }

    /// Rounded up to thousandths, as Kubernetes' defaulting does it (D-11, D-13); `None` if it is not finer. Negative
    /// amounts are left to validation, which refuses them.
    pub fn rounded_to_milli(&self) -> Option<Self> {
        if self.negative || self.amount.exponent >= MILLI {
            return None;
        }
        let mut rounded = Self { kept: None, ..self.clone() };
        rounded.amount.round_up(MILLI);
        Some(rounded)
    }

    /// The value in billionths, rounded up in size; `None` if it does not fit.
    pub fn nanos(&self) -> Option<i128> {
        let mut amount = self.amount.clone();
        amount.round_up(NANO);
        let zeros = u32::try_from(amount.exponent - NANO).ok()?;
        let digit = |sum: i128, digit: &u8| sum.checked_mul(10)?.checked_add(i128::from(*digit));
        let nanos = amount.digits.iter().try_fold(0, digit)?;
        if nanos == 0 {
            return Some(0);
        }
        let nanos = nanos.checked_mul(10_i128.checked_pow(zeros)?)?;
        Some(if self.negative { -nanos } else { nanos })
    }

    /// The quantity of so many billionths, printed with binary suffixes where that is wanted and possible.
    pub fn from_nanos(nanos: i128, binary: bool) -> Self {
        let digits = nanos.unsigned_abs().to_string().bytes().map(|digit| digit - b'0').collect();
        let mut amount = Amount { digits, exponent: NANO };
        amount.normalise();
        let format = if binary { Format::Binary } else { Format::Decimal };
        Self { negative: nanos < 0, amount, format, kept: None }
    }

    /// Whether it was written with a binary suffix.
    pub fn is_binary(&self) -> bool {
        self.format == Format::Binary
    }

    fn read(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let spelling = Spelling::of(text)?;
        let Suffix { format, two, ten } = spelling.suffix;
        // Go wraps exponents beyond 32 bits around.
        let places = i32::try_from(spelling.fraction.len()).ok()?;
        let exponent = ten.wrapping_sub(places);
        let digits: Vec<u8> = spelling
            .whole
            .bytes()
            .chain(spelling.fraction.bytes())
            .map(|digit| digit - b'0')
            .collect();
        let fast = spelling.is_fast();
        // Go's slow path knows no number without digits.
        if !fast && !spelling.digits {
            return None;
        }
        let kept = fast && spelling.is_kept(&digits, exponent);
        let mut amount = Amount { digits, exponent: i64::from(exponent) };
        for _ in 0..two / 10 {
            amount.times_1024();
        }
        amount.normalise();
        if !fast {
            amount.round_up(NANO);
        }
        let largest = Amount { digits: LARGEST_BINARY.to_vec(), exponent: 0 };
        if format == Format::Binary && amount > largest {
            amount = largest;
        }
        let negative = spelling.negative && !amount.is_zero();
        Some(Self { negative, amount, format, kept: kept.then(|| text.into()) })
    }
}

impl<'a> Spelling<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (written, rest) = leading_digits(rest);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), leading_digits);
        let whole = written.trim_start_matches('0');
        Some(Self {
            negative,
            whole: if whole.is_empty() { "0" } else { whole },
            fraction,
            suffix: Suffix::of(rest)?,
            digits: !written.is_empty() || !fraction.is_empty(),
        })
    }

    /// Whether Go reads this without arbitrary precision, which decides what it may print unchanged.
    fn is_fast(&self) -> bool {
        let whole = self.whole.len();
        let places = self.fraction.len();
        match self.suffix.format {
            Format::Binary => {
                let room =
                    14_usize.checked_sub(usize::try_from(self.suffix.two * 3 / 10).unwrap_or(14));
                places == 0 && room.is_some_and(|room| whole <= room)
            }
            Format::Decimal | Format::Exponent => {
                let scale =
                    i32::try_from(places).map(|places| self.suffix.ten.wrapping_sub(places));
                whole + places <= 18 && scale.is_ok_and(|scale| i64::from(scale) >= NANO)
            }
        }
    }

    /// Whether Go prints the text as it is. Its test is rough: `1.500` and `+1` pass.
    fn is_kept(&self, digits: &[u8], exponent: i32) -> bool {
        match self.suffix.format {
            // The last three bits of a number are those of its last three digits.
            Format::Binary => {
                let tail = digits.iter().rev().take(3).rev();
                tail.fold(0_u32, |sum, digit| sum * 10 + u32::from(*digit)) % 8 != 0
            }
            Format::Decimal | Format::Exponent => {
                exponent % 3 == 0 && !digits.ends_with(&[0, 0, 0]) && digits.first() != Some(&0)
            }
        }
    }
}

fn leading_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

impl Suffix {
    fn of(text: &str) -> Option<Self> {
        let decimal = |ten| Some(Self { format: Format::Decimal, two: 0, ten });
        let binary = |two| Some(Self { format: Format::Binary, two, ten: 0 });
        match text {
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
                let exponent: i64 = text.strip_prefix(['e', 'E'])?.parse().ok()?;
                // Go cuts to 32 bits, and so do we.
                let [a, b, c, d, ..] = exponent.to_le_bytes();
                let ten = i32::from_le_bytes([a, b, c, d]);
                Some(Self { format: Format::Exponent, two: 0, ten })
            }
        }
    }
}

impl Amount {
    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn times_1024(&mut self) {
        let mut carry = 0_u32;
        for digit in self.digits.iter_mut().rev() {
            let product = u32::from(*digit) * 1024 + carry;
            carry = product / 10;
            *digit = low_digit(product);
        }
        let mut front = Vec::new();
        while carry > 0 {
            front.push(low_digit(carry));
            carry /= 10;
        }
        front.reverse();
        self.digits.splice(0..0, front);
    }

    /// Takes leading and trailing zeros away.
    fn normalise(&mut self) {
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.exponent += 1;
        }
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..leading);
        if self.is_zero() {
            self.exponent = 0;
        }
    }

    /// Rounds what is finer than 10^place up.
    fn round_up(&mut self, place: i64) {
        let Ok(finer) = usize::try_from(place.saturating_sub(self.exponent)) else { return };
        if self.is_zero() || finer == 0 {
            return;
        }
        // The last digit is not zero, so something is always cut off.
        self.digits.truncate(self.digits.len().saturating_sub(finer));
        self.exponent = place;
        let nines = self.digits.iter().rev().take_while(|digit| **digit == 9).count();
        self.digits.truncate(self.digits.len() - nines);
        match self.digits.last_mut() {
            Some(digit) => *digit += 1,
            None => self.digits.push(1),
        }
        self.exponent += i64::try_from(nines).unwrap_or_default();
        self.normalise();
    }

    /// The amount as a number, if it is whole and fits.
    fn whole(&self) -> Option<u64> {
        let zeros = u32::try_from(self.exponent).ok()?;
        let digits = self
            .digits
            .iter()
            .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(*digit)))?;
        digits.checked_mul(10_u64.checked_pow(zeros)?)
    }
}

fn low_digit(number: u32) -> u8 {
    u8::try_from(number % 10).unwrap_or_default()
}

impl fmt::Display for Quantity {
    /// Go's canonical form: no fraction, the largest suffix that keeps the number whole. A decimal suffix that does not
    /// exist is left out, as Go does: ten thousand `E` become `10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kept) = &self.kept {
            return f.write_str(kept);
        }
        if self.amount.is_zero() {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let binary = self.amount.whole().filter(|amount| *amount >= SMALLEST_BINARY);
        match binary {
            Some(amount) if self.format == Format::Binary => write_binary(f, amount),
            _ => self.write_decimal(f),
        }
    }
}

impl Quantity {
    fn write_decimal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zeros = self.amount.exponent.rem_euclid(3);
        let exponent = self.amount.exponent - zeros;
        for digit in &self.amount.digits {
            write!(f, "{digit}")?;
        }
        for _ in 0..zeros {
            f.write_str("0")?;
        }
        let suffix = match (self.format, exponent) {
            (_, 0) => "",
            (Format::Exponent, exponent) => return write!(f, "e{exponent}"),
            (_, -9) => "n",
            (_, -6) => "u",
            (_, -3) => "m",
            (_, 3) => "k",
            (_, 6) => "M",
            (_, 9) => "G",
            (_, 12) => "T",
            (_, 15) => "P",
            (_, 18) => "E",
            _ => "",
        };
        f.write_str(suffix)
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, mut amount: u64) -> fmt::Result {
    let mut suffix = "";
    for larger in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if !amount.is_multiple_of(1024) {
            break;
        }
        amount /= 1024;
        suffix = larger;
    }
    write!(f, "{amount}{suffix}")
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        // Zero has no magnitude at all, so it comes first.
        let magnitude = |amount: &Self| {
            let length = i64::try_from(amount.digits.len()).unwrap_or(i64::MAX);
            (!amount.is_zero()).then(|| amount.exponent.saturating_add(length))
        };
        magnitude(self).cmp(&magnitude(other)).then_with(|| self.digits.cmp(&other.digits))
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.amount.cmp(&other.amount),
            (true, true) => other.amount.cmp(&self.amount),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}
