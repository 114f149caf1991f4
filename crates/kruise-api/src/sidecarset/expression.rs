//! The language of `resourcesPolicy.resourcesExpr` (sidecarset §14.2): numbers, quantities, one variable, `max`, `min`.
//!
//! It is evaluated while it is read, for the first problem in reading order is the one that is reported (RES-23).
//! Text and nesting are bounded, so that no expression can cost more than a moment.

mod amount;
mod token;

pub use amount::{Amount, Measure};

use token::{Token, Tokens};

/// Longest expression, in bytes.
const LONGEST: usize = 4096;
/// Deepest nesting of parentheses, calls and signs.
const DEEPEST: usize = 64;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The text is not an expression.
    #[error("parse error: syntax error at line {line}, col {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column behind the offending token, from 1.
        column: usize,
    },
    /// Nobody knows this function.
    #[error("unknown function: {0}")]
    UnknownFunction(String),
    /// `max` and `min` take two arguments.
    #[error("{0} function requires exactly 2 arguments, got 1")]
    Arguments(String),
    /// Another variable than the one that is bound.
    #[error("undefined variable: {0}")]
    UndefinedVariable(String),
    /// `1Gi*1Gi`
    #[error("multiplication of two quantities")]
    QuantityProduct,
    /// `1/1Gi`
    #[error("division by quantity")]
    QuantityDivisor,
    /// `1/0`
    #[error("division by zero")]
    ZeroDivisor,
    /// Quantities that do not fit.
    #[error("{0} is out of range")]
    OutOfRange(String),
    /// What looks like a quantity and is none: `1e3m`.
    #[error("{0:?} is not a quantity such as 500m, 1.5 or 2Gi")]
    InvalidQuantity(String),
    /// What looks like a number and is none: `5x`.
    #[error("{0:?} is not a number")]
    InvalidNumber(String),
    /// The final value is below zero.
    #[error("calculation result is negative: {0}")]
    Negative(String),
    /// Longer or deeper than allowed.
    #[error("the expression is longer than {LONGEST} bytes or nested deeper than {DEEPEST} levels")]
    TooLarge,
}

/// What a number that cannot be read counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNumber {
    /// Zero, as in OpenKruise (W-34): for policies that were admitted there.
    Zero,
    /// An error: for policies that are to be admitted.
    Error,
}

/// The variable of an expression: `memory` if the text has that word, else `cpu` (RES-8).
///
/// OpenKruise looks for the word in lower case only, though variables have no case; what fails there works here.
pub fn variable(text: &str) -> &'static str {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = text.split(|c| !word(c));
    if words.any(|word| word.eq_ignore_ascii_case("memory")) { "memory" } else { "cpu" }
}

/// The value of an expression in which `variable` stands for `value`.
pub fn evaluate(
    text: &str,
    variable: &str,
    value: &Amount,
    bad_number: BadNumber,
) -> Result<Amount, ExpressionError> {
    if text.len() > LONGEST {
        return Err(ExpressionError::TooLarge);
    }
    let mut reader = Reader { tokens: Tokens::new(text), variable, value, bad_number, depth: 0 };
    let result = reader.sum()?;
    match reader.tokens.next() {
        None if result.is_negative() => Err(ExpressionError::Negative(result.to_string())),
        None => Ok(result),
        Some(_) => Err(reader.unexpected()),
    }
}

struct Reader<'a> {
    tokens: Tokens<'a>,
    variable: &'a str,
    value: &'a Amount,
    bad_number: BadNumber,
    depth: usize,
}

impl Reader<'_> {
    fn unexpected(&self) -> ExpressionError {
        let (line, column) = self.tokens.position();
        ExpressionError::Syntax { line, column }
    }

    fn sum(&mut self) -> Result<Amount, ExpressionError> {
        let mut left = self.product()?;
        loop {
            let Some(Token::Sign(sign @ ('+' | '-'))) = self.tokens.peek() else {
                return Ok(left);
            };
            self.tokens.next();
            let right = self.product()?;
            left = if sign == '+' { left.plus(&right)? } else { left.plus(&right.negated())? };
        }
    }

    fn product(&mut self) -> Result<Amount, ExpressionError> {
        let mut left = self.factor()?;
        loop {
            let Some(Token::Sign(sign @ ('*' | '/'))) = self.tokens.peek() else {
                return Ok(left);
            };
            self.tokens.next();
            let right = self.factor()?;
            left = if sign == '*' { left.times(&right)? } else { left.divided_by(&right)? };
        }
    }

    fn factor(&mut self) -> Result<Amount, ExpressionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(ExpressionError::TooLarge);
        }
        let value = match self.tokens.next() {
            Some(Token::Number(text)) => self.number(text)?,
            Some(Token::Quantity(text)) => Amount::Quantity(Measure::parse(text)?),
            Some(Token::Word(word)) => self.word(word)?,
            Some(Token::Sign('(')) => {
                let value = self.sum()?;
                self.expect(')')?;
                value
            }
            Some(Token::Sign('-')) => self.factor()?.negated(),
            _ => return Err(self.unexpected()),
        };
        self.depth -= 1;
        Ok(value)
    }

    fn expect(&mut self, sign: char) -> Result<(), ExpressionError> {
        match self.tokens.next() {
            Some(Token::Sign(found)) if found == sign => Ok(()),
            _ => Err(self.unexpected()),
        }
    }

    /// RES-21.
    fn number(&self, text: &str) -> Result<Amount, ExpressionError> {
        let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |text| (text, 100.0));
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Amount::Number(number / scale)),
            _ if self.bad_number == BadNumber::Zero => Ok(Amount::Number(0.0)),
            _ => Err(ExpressionError::InvalidNumber(text.to_owned())),
        }
    }

    /// A variable or a call.
    fn word(&mut self, word: &str) -> Result<Amount, ExpressionError> {
        let word = word.to_lowercase();
        if self.tokens.peek() != Some(Token::Sign('(')) {
            let known = word == self.variable;
            return known
                .then(|| self.value.clone())
                .ok_or(ExpressionError::UndefinedVariable(word));
        }
        self.tokens.next();
        let first = self.sum()?;
        let second = if self.tokens.peek() == Some(Token::Sign(',')) {
            self.tokens.next();
            Some(self.sum()?)
        } else {
            None
        };
        self.expect(')')?;
        let larger = match word.as_str() {
            "max" => true,
            "min" => false,
            _ => return Err(ExpressionError::UnknownFunction(word)),
        };
        let Some(second) = second else { return Err(ExpressionError::Arguments(word)) };
        first.chosen(second, larger)
    }
}
