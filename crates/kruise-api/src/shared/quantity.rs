//! Rounds quantities up to thousandths, as Kubernetes' defaulting does (D-11, D-13). Everything else about quantities
//! (comparing, printing) is in `kruise-common`.

/// A quantity's text cut into its parts.
struct Parts {
    digits: u128,
    two: u32,
    ten: i32,
    form: Form,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

/// The canonical text of `text` rounded up to thousandths; `None` if nothing is to be rounded, or it is no quantity.
pub fn rounded_to_milli(text: &str) -> Option<String> {
    let Parts { digits, two, ten, form } = parse(text)?;
    // As a number of thousandths: digits × 2^two × 10^ten.
    let places = ten.checked_add(3)?;
    if places >= 0 || digits == 0 {
        return None;
    }
    let amount = digits.checked_mul(1_u128.checked_shl(two)?)?;
    let milli = match 10_u128.checked_pow(places.unsigned_abs()) {
        Some(unit) if amount.is_multiple_of(unit) => return None,
        Some(unit) => amount / unit + 1,
        None => 1,
    };
    Some(print(milli, form))
}

fn parse(text: &str) -> Option<Parts> {
    // A negative amount is refused elsewhere.
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole.trim_start_matches('0'), fraction].concat();
    // A number beyond 128 bits is left to the API server's validation.
    let digits = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let (form, two, ten) = unit(suffix)?;
    Some(Parts { digits, two, ten: ten.checked_sub(i32::try_from(fraction.len()).ok()?)?, form })
}

/// Form, power of two and power of ten of a suffix.
fn unit(suffix: &str) -> Option<(Form, u32, i32)> {
    let (form, two, ten) = match suffix {
        "n" => (Form::Decimal, 0, -9),
        "u" => (Form::Decimal, 0, -6),
        "m" => (Form::Decimal, 0, -3),
        "" => (Form::Decimal, 0, 0),
        "k" => (Form::Decimal, 0, 3),
        "M" => (Form::Decimal, 0, 6),
        "G" => (Form::Decimal, 0, 9),
        "T" => (Form::Decimal, 0, 12),
        "P" => (Form::Decimal, 0, 15),
        "E" => (Form::Decimal, 0, 18),
        "Ki" => (Form::Binary, 10, 0),
        "Mi" => (Form::Binary, 20, 0),
        "Gi" => (Form::Binary, 30, 0),
        "Ti" => (Form::Binary, 40, 0),
        "Pi" => (Form::Binary, 50, 0),
        "Ei" => (Form::Binary, 60, 0),
        _ => (Form::Exponent, 0, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some((form, two, ten))
}

/// Go's canonical form: no fraction, the largest suffix that keeps the number whole.
fn print(mut value: u128, form: Form) -> String {
    if form == Form::Binary && value.is_multiple_of(1000) && value >= 1024 * 1000 {
        value /= 1000;
        let mut suffixes = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
        let mut suffix = "";
        while value.is_multiple_of(1024)
            && let Some(next) = suffixes.next()
        {
            value /= 1024;
            suffix = next;
        }
        return format!("{value}{suffix}");
    }
    let mut suffixes = [("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12)].into_iter();
    let mut unit = ("m", -3);
    while value.is_multiple_of(1000)
        && let Some(next) = suffixes.next()
    {
        value /= 1000;
        unit = next;
    }
    match unit {
        (_, exponent) if form == Form::Exponent && exponent != 0 => format!("{value}e{exponent}"),
        (suffix, _) => format!("{value}{suffix}"),
    }
}
