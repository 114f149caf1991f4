mod captured;
mod choose;
mod containers;
mod hash;
mod inject;
mod matching;
mod revision;
mod stored;
