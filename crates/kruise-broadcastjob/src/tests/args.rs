//! The flags that only this controller has.

use clap::CommandFactory;
use kruise_common::testing::pages;

use crate::args::Args;

#[test]
fn the_page_about_flags_is_true() {
    pages::lists_own_flags("## kruise-broadcastjob", &Args::command());
}
