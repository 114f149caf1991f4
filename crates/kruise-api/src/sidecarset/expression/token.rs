//! Words, literals and signs of an expression (RES-21).

/// Suffixes that make a literal a quantity; `E`, `Ei`, `n` and `u` are none here.
const SUFFIXES: [&str; 11] = ["m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    Number(&'a str),
    Quantity(&'a str),
    Word(&'a str),
    /// Any other character; only some mean something.
    Sign(char),
}

/// The tokens of a text.
pub struct Tokens<'a> {
    text: &'a str,
    /// Where the next token is looked for.
    at: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Line and column behind the last token, from 1.
    pub fn position(&self) -> (usize, usize) {
        let before = self.text.get(..self.at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        (line, last.chars().count() + 1)
    }

    pub fn peek(&self) -> Option<Token<'a>> {
        Self { ..*self }.next()
    }

    pub fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        let first = trimmed.chars().next()?;
        let length = match first {
            '0'..='9' | '.' => literal_length(trimmed),
            c if c.is_ascii_alphabetic() => {
                let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
                trimmed.find(|c| !inside(c)).unwrap_or(trimmed.len())
            }
            c => c.len_utf8(),
        };
        let text = trimmed.get(..length).unwrap_or_default();
        self.at += length;
        Some(match first {
            '0'..='9' | '.' if is_quantity(text) => Token::Quantity(text),
            '0'..='9' | '.' => Token::Number(text),
            c if c.is_ascii_alphabetic() => Token::Word(text),
            c => Token::Sign(c),
        })
    }
}

/// How far a numeric literal goes: digits, a point, an exponent, a percent sign, each at most once; then letters.
fn literal_length(text: &str) -> usize {
    let (mut point, mut exponent, mut percent) = (false, false, false);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '0'..='9' => {}
            '.' if !point && !exponent && !percent => point = true,
            'e' | 'E' if !exponent && !percent => exponent = true,
            '+' | '-' if matches!(before, 'e' | 'E') => {}
            '%' if !percent => percent = true,
            c if c.is_ascii_alphabetic() && !matches!(before, 'e' | 'E' | '+' | '-') => {
                let rest = text.get(at..).unwrap_or_default();
                let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
                return at + letters;
            }
            _ => return at,
        }
        before = c;
    }
    text.len()
}

fn is_quantity(literal: &str) -> bool {
    let number = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    SUFFIXES.contains(&literal.trim_start_matches(number))
}
