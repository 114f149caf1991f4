//! Delays after failures.

use crate::runtime::backoff::Backoff;

use super::support::{ms, s};

const BACKOFF: Backoff = Backoff { base: ms(5), max: s(30) };

#[test]
fn it_doubles_from_the_base_up_to_the_longest() {
    let delays: Vec<_> = (0..16).map(|failures| BACKOFF.delay(failures, 0.0)).collect();
    let millis =
        [5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 30000, 30000];
    assert_eq!(delays, millis.map(ms));
    assert_eq!(BACKOFF.delay(u32::MAX, 0.0), s(30));
}

#[test]
fn chance_changes_up_to_a_tenth() {
    assert_eq!(BACKOFF.delay(2, 1.0), ms(11));
    assert_eq!(BACKOFF.delay(2, 0.5), ms(10) + ms(1) / 2);
    assert_eq!(BACKOFF.delay(99, 1.0), s(27), "the longest is spread downwards");
    assert_eq!(Backoff { base: ms(29_000), max: s(30) }.delay(1, 1.0), s(30));
    for nonsense in [7.0, -3.0] {
        let delay = BACKOFF.delay(2, nonsense);
        assert!(delay >= ms(10) && delay <= ms(11), "{delay:?}");
    }
}

#[test]
fn the_longest_delay_of_all_does_not_overflow() {
    let endless = Backoff { base: s(u64::MAX / 4), max: s(u64::MAX / 4) };
    assert_eq!(endless.delay(50, 0.0), endless.max);
}
