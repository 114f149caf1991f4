//! Values of expressions and what can be done with them (RES-22, RES-24). Numbers are doubles and are cut towards zero
//! where they become quantities, as in OpenKruise (RES-25).

use std::cmp::Ordering;
use std::fmt;

use super::ExpressionError;
use crate::shared::quantity::Quantity;

/// Billionths in a thousandth and in one.
const MILLI: i128 = 1_000_000;
const ONE: i128 = 1_000 * MILLI;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Amount {
    /// A number without unit.
    Number(f64),
    /// A quantity.
    Quantity(Measure),
}

/// A quantity that can be calculated with, exact to a billionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    nanos: i128,
    /// Whether it is printed with `Ki`, `Mi`… where that is possible.
    binary: bool,
}

impl Measure {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0, binary: false };

    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let quantity =
            Quantity::parse(text).map_err(|_| ExpressionError::InvalidQuantity(text.to_owned()))?;
        let nanos = quantity.nanos().ok_or_else(|| ExpressionError::OutOfRange(text.to_owned()))?;
        Ok(Self { nanos, binary: quantity.is_binary() })
    }

    /// That many thousandths.
    pub fn thousandths(number: f64) -> Result<Self, ExpressionError> {
        Ok(Self { nanos: i128::from(whole(number)?) * MILLI, binary: false })
    }

    /// That many units.
    pub fn units(number: f64) -> Result<Self, ExpressionError> {
        Ok(Self { nanos: i128::from(whole(number)?) * ONE, binary: false })
    }

    /// Both together, printed like the first unless that is nothing.
    pub fn plus(self, other: Self) -> Result<Self, ExpressionError> {
        let sum = self.nanos.checked_add(other.nanos);
        let nanos = sum.ok_or_else(|| ExpressionError::OutOfRange(format!("{self}+{other}")))?;
        let binary = if self.nanos == 0 { other.binary } else { self.binary };
        Ok(Self { nanos, binary })
    }

    /// The quantity.
    pub fn quantity(self) -> Quantity {
        Quantity::from_nanos(self.nanos, self.binary)
    }

    /// Thousandths, rounded up.
    #[expect(clippy::cast_precision_loss, reason = "OpenKruise calculates with doubles (RES-25)")]
    fn as_thousandths(self) -> f64 {
        let up = i128::from(self.nanos % MILLI > 0);
        (self.nanos / MILLI + up) as f64
    }

    fn scaled(self, thousandths: f64) -> Result<Self, ExpressionError> {
        Ok(Self { binary: self.binary, ..Self::thousandths(thousandths)? })
    }
}

impl Ord for Measure {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl PartialOrd for Measure {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.quantity().fmt(f)
    }
}

/// Cut towards zero.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: f64) -> Result<i64, ExpressionError> {
    // The largest doubles below 2^63 are whole and fit.
    let limit = 9_223_372_036_854_775_808.0;
    if number > -limit && number < limit {
        Ok(number.trunc() as i64)
    } else {
        Err(ExpressionError::OutOfRange(number.to_string()))
    }
}

impl Amount {
    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        match self {
            Self::Number(number) => *number < 0.0,
            Self::Quantity(measure) => measure.nanos < 0,
        }
    }

    pub(super) fn negated(&self) -> Self {
        match self {
            Self::Number(number) => Self::Number(-number),
            Self::Quantity(measure) => {
                Self::Quantity(Measure { nanos: -measure.nanos, ..*measure })
            }
        }
    }

    /// As a quantity; numbers count as units.
    fn measure(&self) -> Result<Measure, ExpressionError> {
        match self {
            Self::Number(number) => Measure::thousandths(number * 1000.0),
            Self::Quantity(measure) => Ok(*measure),
        }
    }

    pub(super) fn plus(&self, other: &Self) -> Result<Self, ExpressionError> {
        if let (Self::Number(a), Self::Number(b)) = (self, other) {
            return Ok(Self::Number(a + b));
        }
        Ok(Self::Quantity(self.measure()?.plus(other.measure()?)?))
    }

    pub(super) fn times(&self, other: &Self) -> Result<Self, ExpressionError> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Ok(Self::Number(a * b)),
            (Self::Quantity(_), Self::Quantity(_)) => Err(ExpressionError::QuantityProduct),
            (Self::Quantity(measure), Self::Number(factor))
            | (Self::Number(factor), Self::Quantity(measure)) => {
                Ok(Self::Quantity(measure.scaled(measure.as_thousandths() * factor)?))
            }
        }
    }

    pub(super) fn divided_by(&self, other: &Self) -> Result<Self, ExpressionError> {
        let divisor = match other {
            Self::Quantity(_) => return Err(ExpressionError::QuantityDivisor),
            Self::Number(divisor) if *divisor == 0.0 => return Err(ExpressionError::ZeroDivisor),
            Self::Number(divisor) => divisor,
        };
        match self {
            Self::Number(number) => Ok(Self::Number(number / divisor)),
            Self::Quantity(measure) => {
                Ok(Self::Quantity(measure.scaled(measure.as_thousandths() / divisor)?))
            }
        }
    }

    /// The larger or the smaller of two, the first one on ties.
    pub(super) fn chosen(self, other: Self, larger: bool) -> Result<Self, ExpressionError> {
        let wanted = if larger { Ordering::Less } else { Ordering::Greater };
        if let (Self::Number(a), Self::Number(b)) = (&self, &other) {
            return Ok(if a.partial_cmp(b) == Some(wanted) { other } else { self });
        }
        let (a, b) = (self.measure()?, other.measure()?);
        Ok(Self::Quantity(if a.cmp(&b) == wanted { b } else { a }))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Quantity(measure) => measure.fmt(f),
        }
    }
}
