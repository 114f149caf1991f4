mod captured;
mod containers;
mod hash;
mod matching;
mod revision;
mod stored;
