use crate::contestant::Bench;
use crate::sample::minimum;

#[test]
fn the_least_writes_are_those_of_the_specification() {
    assert_eq!(minimum(Bench::P1, false).len(), 1);
    assert_eq!(minimum(Bench::P1, true).len(), 2);
    assert_eq!(minimum(Bench::P3, false).len(), 2);
    assert_eq!(minimum(Bench::P4, true).len(), 3);
}
